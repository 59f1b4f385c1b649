import { z } from 'zod'
import { problemSchema } from '../../shared/contract/api-schemas.ts'
import { PROBLEM_TYPES, problemEntry, type ProblemType } from '../../shared/contract/problems.ts'

/**
 * An error response as RFC 9457 defines it. Neither `detail` nor an extension member may quote a value of the cache, a
 * token, or anything else that a log or a proxy must not keep.
 */
export type Problem = Readonly<{
  type: ProblemType
  title: string
  status: number
  detail?: string
}> &
  Readonly<Record<string, unknown>>

export const PROBLEM_MEDIA_TYPE = 'application/problem+json; charset=utf-8'

/** @param detail of this occurrence; absent: the type's own, if it has one. */
export function createProblem(type: ProblemType, detail?: string, extensions: object = {}): Problem {
  const { title, status, detail: usualDetail } = problemEntry(type)
  const text = detail ?? usualDetail
  return { type, title, status, ...(text !== undefined && { detail: text }), ...extensions }
}

type ProblemFacts = {
  readonly detail?: string | undefined
  /** Members of the document besides those of every problem. */
  readonly extensions?: object
  readonly headers?: Readonly<Record<string, string>>
}

/** Thrown by a handler or a hook; the server's error handler sends it. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(type: ProblemType, { detail, extensions, headers }: ProblemFacts = {}) {
    const problem = createProblem(type, detail, extensions)
    const { retryAfterS } = problemEntry(type)
    super(problem.detail ?? problem.title)
    this.problem = problem
    this.headers = { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }), ...headers }
  }
}

// ---- the OpenAPI document

/** The problem responses that a route declares, by status: the given types and those that any route can send. */
export function problemReplies(...types: ProblemType[]) {
  const statuses = new Set(types.map((type) => problemEntry(type).status))
  return Object.fromEntries(
    [...statuses].map((status) => {
      const declared = types.filter((type) => problemEntry(type).status === status)
      const general = typesOnAnyRoute.filter((type) => problemEntry(type).status === status)
      return [status, problemReply([...declared, ...general])]
    }),
  )
}

const typesOnAnyRoute = PROBLEM_TYPES.filter((type) => problemEntry(type).onAnyRoute === true)

/** The response of every route for the statuses that it does not declare. */
export const anyProblemReply = problemReply(typesOnAnyRoute, 'A problem that any route can send.')

function problemReply(types: readonly ProblemType[], summary?: string) {
  const schema = z.intersection(problemSchema, z.looseObject({ type: z.enum(types) }))
  const description = types.map((type) => `${type}: ${problemEntry(type).when}`).join(' ')
  return { description: summary ?? description, content: { 'application/problem+json': { schema } } }
}

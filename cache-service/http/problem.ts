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

/**
 * The problem responses that a route declares, by status. The document adds those of any route (openapi/error-responses.ts).
 */
export function problemReplies(...types: ProblemType[]) {
  const byStatus = Map.groupBy(types, (type) => problemEntry(type).status)
  const content = { 'application/problem+json': { schema: problemSchema } }
  return Object.fromEntries(
    [...byStatus].map(([status, problems]) => [
      status,
      { description: problems.join(', '), problems, content },
    ]),
  )
}

/** The problem types of one of these responses; empty for any other response. */
export function problemTypesOf(reply: unknown): readonly ProblemType[] {
  return z.object({ problems: z.array(z.enum(PROBLEM_TYPES)) }).safeParse(reply).data?.problems ?? []
}

import { PROBLEM_TYPES, problemEntry, type ProblemType } from '../../../shared/contract/problems.ts'
import type { Scope } from '../api-server-types.ts'
import { createProblem, problemTypesOf } from '../problem.ts'
import type { Occurrence } from './operation-docs.ts'
import type { ResponseHeaderName } from './response-headers.ts'

/** What decides which errors an operation can answer with. */
export type OperationFacts = {
  readonly scope: Scope
  readonly isProbe: boolean
  readonly isStream: boolean
  readonly hasBody: boolean
  readonly hasParameters: boolean
}

/** An error that an operation can answer with. Those with the same status share a response. */
export type DocumentedError = {
  readonly name: string
  readonly status: number
  readonly when: string
  readonly example: unknown
  readonly headers: readonly ResponseHeaderName[]
}

/** Whether an operation lists the error; those that no operation lists are in the response `default`. */
const LISTED_IF: Readonly<Partial<Record<ProblemType, (facts: OperationFacts) => boolean>>> = {
  bad_request: ({ hasBody, hasParameters }) => hasBody || hasParameters,
  unauthorized: ({ scope }) => scope !== 'public',
  insufficient_scope: ({ scope }) => scope !== 'public',
  host_not_allowed: ({ isProbe }) => !isProbe,
  body_too_large: ({ hasBody }) => hasBody,
  unsupported_media_type: ({ hasBody }) => hasBody,
  too_many_requests: ({ isProbe }) => !isProbe,
  redis_unavailable: ({ isProbe, isStream }) => !isProbe && !isStream,
  overloaded: ({ isProbe, isStream }) => !isProbe && !isStream,
}

/** The problem types that a route declares (problemReplies). */
export function declaredProblems(responses: object): readonly ProblemType[] {
  return Object.values(responses).flatMap((reply: unknown) => problemTypesOf(reply))
}

/** The problem types that an operation lists: those that it declares, and those of any route that apply to it. */
export function listedProblems(
  declared: readonly ProblemType[],
  facts: OperationFacts,
): readonly ProblemType[] {
  const declaredStatuses = new Set(declared.map((type) => problemEntry(type).status))
  const general = PROBLEM_TYPES.filter((type) => {
    const { onAnyRoute, status } = problemEntry(type)
    return onAnyRoute === true && (LISTED_IF[type]?.(facts) ?? declaredStatuses.has(status))
  })
  return [...declared, ...general]
}

/** Those that `default` describes, given the ones that are listed. */
export function remainingProblems(listed: readonly ProblemType[]): readonly ProblemType[] {
  const statuses = new Set(listed.map((type) => problemEntry(type).status))
  return PROBLEM_TYPES.filter((type) => {
    const { onAnyRoute, status } = problemEntry(type)
    return onAnyRoute === true && !statuses.has(status)
  })
}

/** @param occurrence the example, if the detail of this type differs between operations. */
export function problemDocs(type: ProblemType, scope: Scope, occurrence?: Occurrence): DocumentedError {
  const { status, when } = problemEntry(type)
  const { detail, extensions } = occurrence ?? OCCURRENCES[type]?.(scope) ?? {}
  return {
    name: type,
    status,
    when,
    example: createProblem(type, detail, extensions),
    headers: headersOf(type),
  }
}

function headersOf(type: ProblemType): readonly ResponseHeaderName[] {
  if (type === 'unauthorized' || type === 'insufficient_scope') return ['WWW-Authenticate']
  if (type === 'method_not_allowed') return ['Allow']
  if (type === 'too_many_requests') {
    return ['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset']
  }
  return problemEntry(type).retryAfterS === undefined ? [] : ['Retry-After']
}

/** Examples of the types whose detail differs between occurrences. */
const OCCURRENCES: Readonly<Partial<Record<ProblemType, (scope: Scope) => Occurrence>>> = {
  bad_request: () => ({ detail: 'The path is malformed.' }),
  unauthorized: () => ({ detail: 'Send Authorization: Bearer <token>.' }),
  insufficient_scope: (scope) => ({ detail: `The token needs the scope ${scope}.` }),
  corrupt_device: () => ({ detail: 'The field persist is not valid JSON.' }),
  redis_unavailable: () => ({ detail: 'Redis failed with CONNECTION. Try again.' }),
}

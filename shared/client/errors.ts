import type { ApiProblem } from '../contract/api-schemas.ts'
import { isProblem } from '../contract/problems.ts'

/** What is known of a failed call, as far as it is known. */
export type FailureFacts = {
  /** Of the HTTP answer. */
  readonly status?: number | undefined
  readonly problem?: ApiProblem | undefined
  /** The server asks not to be asked again before: milliseconds from when it answered. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/**
 * Everything that DeviceCacheClient throws, but for the reason of a caller's own AbortSignal. Callers switch on
 * the subclass; `name` is the same word. No message quotes a token.
 */
export abstract class DeviceCacheError extends Error {
  /** undefined: there was no answer. */
  readonly status: number | undefined
  /** What the server said (RFC 9457), if it was one of ours that answered. */
  readonly problem: ApiProblem | undefined
  readonly retryAfterMs: number | undefined
  /** The same call may succeed later. The client has already tried that, as often as it was told to. */
  readonly isTransient: boolean = false

  constructor(message: string, { cause, problem, retryAfterMs, status }: FailureFacts = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.status = status
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

/** Nobody answers, or the server can't: no connection, Redis is away, overload, a proxy without a server. */
export class CacheUnavailableError extends DeviceCacheError {
  override readonly name = 'CacheUnavailableError'
  override readonly isTransient: boolean

  constructor(message: string, facts: FailureFacts = {}) {
    super(message, facts)
    // 500 is a bug over there, which asking again meets again.
    this.isTransient = facts.status === undefined || [408, 502, 503, 504].includes(facts.status)
  }
}

/** No answer within `timeoutMs`. */
export class TimeoutError extends DeviceCacheError {
  override readonly name = 'TimeoutError'
  override readonly isTransient = true
}

/** 429. */
export class RateLimitedError extends DeviceCacheError {
  override readonly name = 'RateLimitedError'
  override readonly isTransient = true
}

/**
 * The cache is being filled, and this device has not come yet: it may exist. Not tried again, since that takes
 * as long as it takes.
 */
export class CacheRebuildingError extends DeviceCacheError {
  override readonly name = 'CacheRebuildingError'
}

/** 401: no token, or one that is unknown or has expired. */
export class UnauthorizedError extends DeviceCacheError {
  override readonly name = 'UnauthorizedError'
}

/** 403: the token's scope does not allow it, or the API is called by a host name that is not its own. */
export class ForbiddenError extends DeviceCacheError {
  override readonly name = 'ForbiddenError'
}

/** Such as an id that no device can have. */
export class InvalidRequestError extends DeviceCacheError {
  override readonly name = 'InvalidRequestError'
}

/** Somebody else has damaged what Redis holds of this device. Its next record mends it. */
export class CorruptDeviceError extends DeviceCacheError {
  override readonly name = 'CorruptDeviceError'
}

/** An answer, but not one of this API: as a rule `baseUrl` is another server's. */
export class UnexpectedAnswerError extends DeviceCacheError {
  override readonly name = 'UnexpectedAnswerError'
}

/** `close()` was called. */
export class ClientClosedError extends DeviceCacheError {
  override readonly name = 'ClientClosedError'
}

/** The error for an answer that is not the one asked for. */
export function errorOfAnswer(status: number, facts: Omit<FailureFacts, 'status'>): DeviceCacheError {
  const { problem } = facts
  const said = problem === undefined ? `HTTP ${status}` : `${problem.title} (${problem.type})`
  const message = problem?.detail === undefined ? said : `${said}: ${problem.detail}`
  return new (classOf(status, problem))(message, { ...facts, status })
}

const BAD_REQUESTS = [400, 405, 413, 414, 415, 431]

function classOf(status: number, problem: ApiProblem | undefined) {
  if (isProblem(problem, 'cache_rebuilding')) return CacheRebuildingError
  if (isProblem(problem, 'corrupt_device')) return CorruptDeviceError
  if (status === 401) return UnauthorizedError
  if (status === 403) return ForbiddenError
  if (status === 429) return RateLimitedError
  if (status === 408 || (status >= 500 && status < 600)) return CacheUnavailableError
  return BAD_REQUESTS.includes(status) ? InvalidRequestError : UnexpectedAnswerError
}

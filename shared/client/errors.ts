import type { ApiProblem } from '../contract/api-types.ts'
import { isProblem } from './problem-type.ts'

/** What is known about a failed call. */
export type FailureFacts = {
  /** Status of the HTTP response; undefined: there was no response. */
  readonly status?: number | undefined
  readonly problem?: ApiProblem | undefined
  /** Milliseconds, from the response, for which the server asks clients to wait before a retry. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/**
 * Base class of all errors of DeviceCacheClient, except the reason of a caller's own AbortSignal. Callers distinguish
 * them by subclass, or by `name`, which equals the name of the subclass. No message contains a token.
 */
export abstract class DeviceCacheError extends Error {
  /** Status of the HTTP response; undefined: there was no response. */
  readonly status: number | undefined
  /** The problem details (RFC 9457) of the response, if it came from the API. */
  readonly problem: ApiProblem | undefined
  /** Milliseconds, from the response, for which the server asks clients to wait before a retry. */
  readonly retryAfterMs: number | undefined
  /** True if the same call may succeed later. The client has then already used up its `retries`. */
  readonly isTransient: boolean = false

  constructor(message: string, { cause, problem, retryAfterMs, status }: FailureFacts = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.status = status
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

/** No connection, or the server is unavailable: Redis is down, an overload, or a proxy without a backend. */
export class CacheUnavailableError extends DeviceCacheError {
  override readonly name = 'CacheUnavailableError'
  override readonly isTransient: boolean

  constructor(message: string, facts: FailureFacts = {}) {
    super(message, facts)
    // 500 is a bug in the server, which a retry would only repeat.
    this.isTransient = facts.status === undefined || [408, 502, 503, 504].includes(facts.status)
  }
}

/** No response within `timeoutMs`. */
export class TimeoutError extends DeviceCacheError {
  override readonly name = 'TimeoutError'
  override readonly isTransient = true
}

/** 429: the rate limit is exceeded. */
export class RateLimitedError extends DeviceCacheError {
  override readonly name = 'RateLimitedError'
  override readonly isTransient = true
}

/**
 * The cache is being rebuilt and does not contain the device yet, so it is unknown whether the device exists. Not retried,
 * because a rebuild may take long.
 */
export class CacheRebuildingError extends DeviceCacheError {
  override readonly name = 'CacheRebuildingError'
}

/** 401: no token, or a token that is unknown or has expired. */
export class UnauthorizedError extends DeviceCacheError {
  override readonly name = 'UnauthorizedError'
}

/** 403: the token lacks the required scope, or the API does not allow the host name in the URL. */
export class ForbiddenError extends DeviceCacheError {
  override readonly name = 'ForbiddenError'
}

/** The request is invalid, for example because of an invalid device id. */
export class InvalidRequestError extends DeviceCacheError {
  override readonly name = 'InvalidRequestError'
}

/** Another program has corrupted what Redis holds for this device. The device's next record repairs it. */
export class CorruptDeviceError extends DeviceCacheError {
  override readonly name = 'CorruptDeviceError'
}

/** The response did not come from this API; usually `baseUrl` points at a different server. */
export class UnexpectedAnswerError extends DeviceCacheError {
  override readonly name = 'UnexpectedAnswerError'
}

/**
 * The function `token` failed, or returned something that cannot be a token. Nothing was sent. Neither the message nor the
 * error has a `cause`, because what the function threw may quote the token; `thrown` has it for callers that handle it.
 */
export class TokenError extends DeviceCacheError {
  override readonly name = 'TokenError'
  readonly #thrown: unknown

  constructor(message: string, thrown?: unknown) {
    super(message)
    this.#thrown = thrown
  }

  /** What the function threw. It is not shown when the error is logged. */
  get thrown(): unknown {
    return this.#thrown
  }
}

/** `close()` was called. */
export class ClientClosedError extends DeviceCacheError {
  override readonly name = 'ClientClosedError'
}

/** The error for a response that reports a failure. */
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

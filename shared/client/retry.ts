import { fullJitterMs, type BackoffBounds } from '../backoff.ts'
import { DeviceCacheError } from './errors.ts'

const SECONDS = /^\d{1,9}$/
/** IMF-fixdate, the only date format that servers may generate. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * Parses a Retry-After header.
 *
 * @returns milliseconds from now, at least 0; undefined if the header is absent or invalid.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function parseRetryAfter(header: string | null, nowMs: number): number | undefined {
  const text = header?.trim() ?? ''
  if (SECONDS.test(text)) return Number(text) * 1_000
  if (!HTTP_DATE.test(text)) return undefined
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}

export type RetryPolicy = BackoffBounds & {
  /** Attempts after the first. */
  readonly retries: number
  /** Beyond this Retry-After, a call fails immediately instead of waiting. */
  readonly longestRetryAfterMs: number
}

/**
 * Decides whether and when to retry.
 *
 * @param attempt number of failed attempts so far, at least 1.
 * @returns milliseconds to wait; undefined: no retry.
 */
export function retryDelayMs(
  error: unknown,
  attempt: number,
  random: number,
  policy: RetryPolicy,
): number | undefined {
  if (!(error instanceof DeviceCacheError) || !error.isTransient || attempt > policy.retries) return undefined
  const { retryAfterMs = 0 } = error
  if (retryAfterMs > policy.longestRetryAfterMs) return undefined
  // Never before the requested time, and with jitter, so that not all clients retry at the same moment.
  return retryAfterMs + fullJitterMs(attempt, random, policy)
}

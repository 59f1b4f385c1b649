import { fullJitterMs, type BackoffBounds } from '../backoff.ts'
import { DeviceCacheError } from './errors.ts'

const SECONDS = /^\d{1,9}$/
/** IMF-fixdate, the only form of a date that a server may still send. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * A Retry-After header.
 *
 * @returns milliseconds from now, from 0; undefined: there is none, or it can't be read.
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
  /** Tries after the first. */
  readonly retries: number
  /** A server that asks to be left alone for longer is: the call fails at once, and says for how long. */
  readonly longestRetryAfterMs: number
}

/**
 * Whether and when to try again.
 *
 * @param attempt failures so far, from 1.
 * @returns milliseconds; undefined: not at all.
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
  // Never before the time asked for, and not everybody in the very moment.
  return retryAfterMs + fullJitterMs(attempt, random, policy)
}

/** Resolves after `ms`. Rejects with the signal's reason when that aborts. */
export function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', aborted)
      resolve()
    }, ms)
    signal.addEventListener('abort', aborted, { once: true })
  })
}

/** A controller that aborts when any of these does, until it is released. */
export type LinkedAbort = {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
  release(): void
}

/** AbortSignal.any keeps what it made alive for as long as its sources; a caller's may live for years. */
export function linkAbort(...sources: readonly (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController()
  const releases: (() => void)[] = []
  for (const source of sources) {
    if (source === undefined) continue
    if (source.aborted) {
      controller.abort(source.reason)
      break
    }
    const follow = () => controller.abort(source.reason)
    source.addEventListener('abort', follow, { once: true })
    releases.push(() => source.removeEventListener('abort', follow))
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    release: () => releases.forEach((release) => release()),
  }
}

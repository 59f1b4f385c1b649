export type BackoffBounds = { readonly firstMs: number; readonly longestMs: number }

/**
 * How long to wait before the next attempt: exponential backoff with full jitter.
 *
 * @param attempt number of failures so far, from 1.
 * @param random a number in [0, 1).
 * @returns milliseconds, from 0.
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function fullJitterMs(attempt: number, random: number, { firstMs, longestMs }: BackoffBounds): number {
  return random * Math.min(longestMs, firstMs * 2 ** (attempt - 1))
}

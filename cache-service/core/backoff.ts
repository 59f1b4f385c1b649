/**
 * Exponential backoff with full jitter, 100 ms → 30 s.
 *
 * @param attempt failures so far, from 1.
 * @param random from 0 up to, not including, 1.
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1))
}

const FIRST_MS = 100
const LONGEST_MS = 30_000

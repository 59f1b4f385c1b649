import { fullJitterMs } from '../../shared/backoff.ts'

/**
 * The service's backoff: it grows from 100 ms to at most 30 s.
 *
 * @param attempt number of failures so far, from 1.
 * @param random a number in [0, 1).
 */
export function backoffMs(attempt: number, random: number): number {
  return fullJitterMs(attempt, random, BOUNDS)
}

const BOUNDS = { firstMs: 100, longestMs: 30_000 }

import { fullJitterMs } from '../../shared/backoff.ts'

/**
 * The service's own backoff, 100 ms → 30 s.
 *
 * @param attempt failures so far, from 1.
 * @param random from 0 up to, not including, 1.
 */
export function backoffMs(attempt: number, random: number): number {
  return fullJitterMs(attempt, random, BOUNDS)
}

const BOUNDS = { firstMs: 100, longestMs: 30_000 }

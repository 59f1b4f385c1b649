import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CacheRebuildingError,
  CacheUnavailableError,
  errorOfAnswer,
  RateLimitedError,
} from '../../../../shared/client/errors.ts'
import { parseRetryAfter, retryDelayMs } from '../../../../shared/client/retry.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)

describe('Retry-After', () => {
  test('is parsed as seconds', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.constantFrom('', ' '), (seconds, space) => {
        expect(parseRetryAfter(`${space}${seconds}${space}`, NOW)).toBe(seconds * 1_000)
      }),
    )
  })

  test('is parsed as a date, and is never in the past', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), (seconds) => {
        const date = new Date(NOW + seconds * 1_000).toUTCString()
        expect(parseRetryAfter(date, NOW)).toBe(Math.max(0, seconds * 1_000))
      }),
    )
  })

  test.each([
    null,
    '',
    'soon',
    '-1',
    '1.5',
    '1e3',
    '10000000000',
    '2026-01-02',
    'Fri, 99 Foo 2026 03:04:05 GMT',
  ])('is ignored if it is %j', (header) => {
    expect(parseRetryAfter(header, NOW)).toBeUndefined()
  })
})

describe('the delay before a retry', () => {
  const policy = { retries: 5, firstMs: 100, longestMs: 1_000, longestRetryAfterMs: 10_000 }

  test('is at least Retry-After, and at most Retry-After plus the backoff', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.integer({ min: 1, max: 5 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (retryAfterMs, attempt, random) => {
          const delay = retryDelayMs(new RateLimitedError('', { retryAfterMs }), attempt, random, policy)
          expect(delay).toBeGreaterThanOrEqual(retryAfterMs)
          expect(delay).toBeLessThanOrEqual(retryAfterMs + Math.min(1_000, 100 * 2 ** (attempt - 1)))
        },
      ),
    )
  })

  test('is undefined after the last attempt, for permanent errors, and for a Retry-After that is too long', () => {
    const delay = (error: unknown, attempt = 1) => retryDelayMs(error, attempt, 0.5, policy)
    expect(delay(new CacheUnavailableError(''), 5)).toBe(500)
    expect(delay(new CacheUnavailableError(''), 6)).toBeUndefined()
    expect(delay(new RateLimitedError('', { retryAfterMs: 10_001 }))).toBeUndefined()
    expect(delay(new CacheRebuildingError('', { status: 503 }))).toBeUndefined()
    expect(delay(new Error('aborted'))).toBeUndefined()
  })
})

test.each([
  [400, undefined, 'InvalidRequestError', false],
  [401, 'unauthorized', 'UnauthorizedError', false],
  [403, 'insufficient_scope', 'ForbiddenError', false],
  [404, undefined, 'UnexpectedAnswerError', false],
  [408, 'request_timeout', 'CacheUnavailableError', true],
  [413, 'body_too_large', 'InvalidRequestError', false],
  [429, 'too_many_requests', 'RateLimitedError', true],
  [500, 'internal_error', 'CacheUnavailableError', false],
  [500, 'corrupt_device', 'CorruptDeviceError', false],
  [502, undefined, 'CacheUnavailableError', true],
  [503, 'overloaded', 'CacheUnavailableError', true],
  [503, 'cache_rebuilding', 'CacheRebuildingError', false],
  [302, undefined, 'UnexpectedAnswerError', false],
])('the status %i with the problem type %s is a %s', (status, type, name, isTransient) => {
  const problem = type === undefined ? undefined : { type, title: 'Title', status }
  const error = errorOfAnswer(status, { problem })
  expect(error).toMatchObject({ name, isTransient, status, problem })
  expect(error.message).toBe(type === undefined ? `HTTP ${status}` : `Title (${type})`)
})

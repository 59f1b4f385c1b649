import { describe, expect, test } from 'vitest'
import { createRateLimitStore } from '../../../../cache-service/http/hooks/rate-limit-store.ts'

function setUp() {
  const world = { monotonicMs: 0 }
  const store = new (createRateLimitStore(() => world.monotonicMs))({})
  function count(caller: string) {
    let counted: { current: number; ttl: number } | undefined
    store.incr(caller, (_error, result) => (counted = result), 60_000, 100)
    return counted
  }
  return { world, count }
}

describe('the rate limit of the API', () => {
  test('counts each caller in windows of its own, which begin with a request', () => {
    const { world, count } = setUp()
    expect([count('a'), count('a'), count('b')]).toEqual([
      { current: 1, ttl: 60_000 },
      { current: 2, ttl: 60_000 },
      { current: 1, ttl: 60_000 },
    ])
    world.monotonicMs = 59_999
    expect(count('a')).toEqual({ current: 3, ttl: 1 })
    world.monotonicMs = 60_000
    expect(count('a')).toEqual({ current: 1, ttl: 60_000 })
  })

  test('remembers a bounded number of callers, and forgets those counted for longest', () => {
    const { count } = setUp()
    for (let i = 0; i <= 5_000; i++) count(`caller-${i}`)
    expect(count('caller-1')).toMatchObject({ current: 2 })
    expect(count('caller-0')).toMatchObject({ current: 1 })
  })
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { NearCache, type NearCacheBounds } from '../../../../shared/client/near-cache.ts'

type Step =
  | {
      readonly kind: 'put'
      readonly id: string
      readonly value: number
      readonly livesForMs: number | undefined
    }
  | { readonly kind: 'fresh' | 'held' | 'forget'; readonly id: string }
  | { readonly kind: 'clear' }
  | { readonly kind: 'watched'; readonly yes: boolean }
  | { readonly kind: 'pass'; readonly ms: number }

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e')
const steps = fc.array(
  fc.oneof(
    fc.record<Step & { kind: 'put' }>({
      kind: fc.constant('put'),
      id: ids,
      value: fc.integer(),
      livesForMs: fc.option(fc.nat(60), { nil: undefined }),
    }),
    fc.record<Step & { kind: 'fresh' | 'held' | 'forget' }>({
      kind: fc.constantFrom('fresh', 'held', 'forget'),
      id: ids,
    }),
    fc.constant<Step>({ kind: 'clear' }),
    fc.record<Step & { kind: 'watched' }>({ kind: fc.constant('watched'), yes: fc.boolean() }),
    fc.record<Step & { kind: 'pass' }>({ kind: fc.constant('pass'), ms: fc.nat(30) }),
  ),
  { maxLength: 200 },
)

type Known = { id: string; value: number; readAt: number; livesForMs: number | undefined }

/** The same behaviour implemented as simply as possible: a list with the most recently used entry last. */
function createModel({ maxAgeMs, maxEntries, staleIfErrorMs }: NearCacheBounds) {
  let known: Known[] = []
  let isWatched = false
  const use = (id: string, now: number, maxAge: number) => {
    const entry = known.find((one) => one.id === id)
    if (entry === undefined || now - entry.readAt >= maxAge) return undefined
    if (entry.livesForMs !== undefined && now >= entry.readAt + entry.livesForMs) return undefined
    known = [...known.filter((one) => one !== entry), entry]
    return entry.value
  }
  return {
    size: () => known.length,
    run(step: Step, now: number): number | undefined {
      switch (step.kind) {
        case 'put':
          known = [...known.filter(({ id }) => id !== step.id), { ...step, readAt: now }].slice(-maxEntries)
          return undefined
        case 'fresh':
          return isWatched ? use(step.id, now, maxAgeMs) : undefined
        case 'held':
          return use(step.id, now, maxAgeMs + staleIfErrorMs)
        case 'forget':
          known = known.filter(({ id }) => id !== step.id)
          return undefined
        case 'clear':
          known = []
          return undefined
        case 'watched':
          isWatched = step.yes
          return undefined
        case 'pass':
          return undefined
      }
    },
  }
}

function run(cache: NearCache<number>, step: Step, now: number): number | undefined {
  switch (step.kind) {
    case 'put':
      cache.put(step.id, step.value, now, step.livesForMs)
      return undefined
    case 'fresh':
      return cache.fresh(step.id, now)
    case 'held':
      return cache.held(step.id, now)
    case 'forget':
      cache.forget(step.id)
      return undefined
    case 'clear':
      cache.clear()
      return undefined
    case 'watched':
      cache.isWatched = step.yes
      return undefined
    case 'pass':
      return undefined
  }
}

test('the near cache behaves like a list that is bounded, drops the least recently used entry, and ages', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.nat(50),
      fc.nat(50),
      steps,
      (maxEntries, age, stale, all) => {
        const options = { maxEntries, maxAgeMs: age, staleIfErrorMs: stale }
        const cache = new NearCache<number>(options)
        const model = createModel(options)
        let now = 0
        for (const step of all) {
          if (step.kind === 'pass') now += step.ms
          expect(run(cache, step, now)).toBe(model.run(step, now))
          expect(cache.size).toBe(model.size())
          expect(cache.size).toBeLessThanOrEqual(maxEntries)
        }
      },
    ),
  )
})

test('nothing in the near cache is fresh until changes are watched', () => {
  const cache = new NearCache<number>({ maxEntries: 2, maxAgeMs: 10, staleIfErrorMs: 10 })
  cache.put('a', 1, 0, undefined)
  expect([cache.fresh('a', 0), cache.held('a', 0)]).toEqual([undefined, 1])
  cache.isWatched = true
  expect([cache.fresh('a', 9), cache.fresh('a', 10), cache.held('a', 19), cache.held('a', 20)]).toEqual([
    1,
    undefined,
    1,
    undefined,
  ])
})

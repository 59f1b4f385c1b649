import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addSample,
  judgeLag,
  LAG_STATES,
  type LagSample,
  type LagState,
  type LagWindow,
  type Ownership,
} from '../../../../cache-service/core/workers/lag-state.ts'

const LIMITS = { windowMs: 60_000, maxGapMs: 30_000 }
const EVERY_MS = 10_000

type Offsets = { readonly committed: readonly (number | undefined)[]; readonly end: readonly number[] }

/** One sample every 10 s: 7 of them fill the window. */
function samples(
  { committed, end }: Offsets,
  ownership: Ownership = 'reader',
  earliest = 0,
): readonly LagSample[] {
  return committed.map((offset, i) => ({
    atMs: i * EVERY_MS,
    position: { committed: offset, earliest, end: end[i] ?? 0 },
    ownership,
  }))
}

const follow = (added: readonly LagSample[]): LagWindow =>
  added.reduce<LagWindow>((window, sample) => addSample(window, sample, LIMITS), [])
const judge = (added: readonly LagSample[]) => judgeLag(follow(added), LIMITS)
const steps = (count: number, at: (i: number) => number) => Array.from({ length: count }, (_, i) => at(i))
const always = <T>(value: T, count = 7): T[] => Array.from({ length: count }, () => value)

// ---- what the offsets do in a full window

const MOVEMENTS = {
  idle: { committed: always(50), end: always(50) },
  keepsUp: { committed: steps(7, (i) => i * 9), end: steps(7, (i) => i * 9 + (i === 3 ? 0 : 5)) },
  catchesUp: { committed: steps(7, (i) => i * 90), end: steps(7, (i) => 900 + i * 10) },
  steadyBacklog: { committed: steps(7, (i) => i * 10), end: steps(7, (i) => 900 + i * 10) },
  fallsBehind: { committed: steps(7, (i) => i * 10), end: steps(7, (i) => 900 + i * 20) },
  stands: { committed: always(10), end: steps(7, (i) => 20 + i) },
  standsWithoutNewRecords: { committed: always(10), end: always(20) },
  hasCommittedNothing: { committed: always(undefined), end: steps(7, (i) => 20 + i) },
} satisfies Record<string, Offsets>

const TABLE: Record<keyof typeof MOVEMENTS, Record<Ownership, LagState>> = {
  idle: { reader: 'ok', other: 'shared', none: 'ok', unknown: 'ok' },
  keepsUp: { reader: 'ok', other: 'shared', none: 'ok', unknown: 'ok' },
  catchesUp: { reader: 'ok', other: 'shared', none: 'ok', unknown: 'ok' },
  steadyBacklog: { reader: 'ok', other: 'shared', none: 'ok', unknown: 'ok' },
  fallsBehind: { reader: 'growing', other: 'shared', none: 'growing', unknown: 'growing' },
  stands: { reader: 'standing', other: 'shared', none: 'no_consumer', unknown: 'standing' },
  standsWithoutNewRecords: {
    reader: 'standing',
    other: 'shared',
    none: 'no_consumer',
    unknown: 'standing',
  },
  hasCommittedNothing: { reader: 'standing', other: 'shared', none: 'no_consumer', unknown: 'standing' },
}

describe('the state of a partition', () => {
  const rows = Object.entries(TABLE).flatMap(([movement, byOwner]) =>
    Object.entries(byOwner).map(([ownership, state]) => ({ movement, ownership, state })),
  )
  test.each(rows)(
    'that $movement, with the owner: $ownership, is $state',
    ({ movement, ownership, state }) => {
      const offsets = Object.entries(MOVEMENTS).find(([name]) => name === movement)?.[1]
      const owner = (['reader', 'other', 'none', 'unknown'] as const).find((one) => one === ownership)
      expect(offsets && owner && judge(samples(offsets, owner))).toBe(state)
    },
  )

  test('without a leader is no_leader, and what came before it no longer counts', () => {
    const stands = samples(MOVEMENTS.stands)
    const leaderless: LagSample = { atMs: 70_000, position: undefined, ownership: 'reader' }
    expect(judge([...stands, leaderless])).toBe('no_leader')
    const led = {
      atMs: 80_000,
      position: { committed: 10, earliest: 0, end: 40 },
      ownership: 'reader' as const,
    }
    expect(judge([...stands, leaderless, led])).toBe('unknown')
  })

  test('is unknown until the window is full, and standing from then on', () => {
    const stands = samples(MOVEMENTS.stands)
    expect(judge([])).toBe('unknown')
    for (const count of [1, 2, 6]) expect(judge(stands.slice(0, count)), `${count} samples`).toBe('unknown')
    expect(judge(stands)).toBe('standing')
  })

  test('is ok as soon as the lag is 0, and for a window after that', () => {
    const end = [...always(10, 2), ...steps(8, (i) => 11 + i)]
    const added = samples({ committed: always(10, 10), end })
    for (const count of [1, 2, 5, 8]) expect(judge(added.slice(0, count)), `${count} samples`).toBe('ok')
    expect(judge(added)).toBe('standing')
  })

  test('is no_consumer only if there has been no owner for 15 seconds', () => {
    const owned = samples(MOVEMENTS.stands)
    const unowned = (count: number) =>
      owned.map((sample, i) => ({
        ...sample,
        ownership: i < 7 - count ? sample.ownership : ('none' as const),
      }))
    expect([1, 2, 3].map((count) => judge(unowned(count)))).toEqual(['standing', 'standing', 'no_consumer'])
  })

  test('is no_consumer after a whole window without an owner, if the window is shorter than that', () => {
    const limits = { windowMs: 2_000, maxGapMs: 30_000 }
    const unowned = samples(MOVEMENTS.stands, 'none').map((sample, i) => ({ ...sample, atMs: i * 500 }))
    const window = unowned.reduce<LagWindow>((added, sample) => addSample(added, sample, limits), [])
    expect(judgeLag(window.slice(-2), limits)).toBe('unknown')
    expect(judgeLag(window, limits)).toBe('no_consumer')
  })

  test('is no_consumer soon after the consumer has stopped, although the lag was 0 in the window', () => {
    const end = [10, 10, 10, 10, 12, 14, 16]
    expect(judge(samples({ committed: always(10), end }))).toBe('ok')
    expect(judge(samples({ committed: always(10), end }, 'none'))).toBe('no_consumer')
  })

  test('counts what Kafka deletes before it is read as standing, not as reading', () => {
    const added = samples({ committed: always(10), end: steps(7, (i) => 100 + i) }).map((sample, i) => ({
      ...sample,
      position: { committed: 10, earliest: 20 + i, end: 100 + i },
    }))
    expect(judge(added)).toBe('standing')
  })

  test.each([
    ['after a gap without measurements', { atMs: 120_000, committed: 10, end: 40 }],
    ['after the group has gone back to earlier offsets', { atMs: 70_000, committed: 2, end: 40 }],
    ['after it has lost its offsets', { atMs: 70_000, committed: undefined, end: 40 }],
    ['after the topic was created again', { atMs: 70_000, committed: 10, end: 15 }],
  ])('is judged again from the beginning %s', (_, { atMs, committed, end }) => {
    const next: LagSample = { atMs, position: { committed, earliest: 0, end }, ownership: 'reader' }
    expect(follow([...samples(MOVEMENTS.stands), next])).toEqual([next])
  })

  test('is not growing if only single measurements are high', () => {
    const end = steps(7, (i) => 100 + i * 100)
    const committed = end.map((offset, i) => offset - (i % 2 === 0 ? 90 : 10))
    expect(judge(samples({ committed, end }))).toBe('ok')
  })
})

test('a window holds no more than it needs, whatever happens', () => {
  const step = fc.record({
    waitedMs: fc.integer({ min: 0, max: 40_000 }),
    committed: fc.option(fc.nat(100), { nil: undefined }),
    end: fc.nat(200),
    hasLeader: fc.boolean(),
    ownership: fc.constantFrom<Ownership>('reader', 'other', 'none', 'unknown'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (drawn) => {
      let atMs = 0
      const window = follow(
        drawn.map(({ committed, end, hasLeader, ownership, waitedMs }) => {
          atMs += waitedMs
          return { atMs, position: hasLeader ? { committed, earliest: 0, end } : undefined, ownership }
        }),
      )
      const second = window[1]
      if (second !== undefined) expect(atMs - second.atMs).toBeLessThan(LIMITS.windowMs)
      expect(LAG_STATES).toContain(judgeLag(window, LIMITS))
    }),
  )
})

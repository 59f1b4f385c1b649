import { describe, expect, test } from 'vitest'
import {
  combinedProgress,
  evidenceOf,
  type CopyHolder,
  type CopyView,
  type Evidence,
  type KnownCopy,
  type ProgressCopy,
} from '../../../../cache-service/core/workers/progress-copies.ts'

const copy = (next: number, claim: string): ProgressCopy => ({
  next,
  claim,
  rebuildUntil: undefined,
  isRebuildRequested: false,
})
const NONE: ProgressCopy = {
  next: undefined,
  claim: undefined,
  rebuildUntil: undefined,
  isRebuildRequested: false,
}

type World = {
  readonly holders: readonly CopyHolder[]
  readonly owners: Readonly<Record<number, string>>
  readonly copies?: Readonly<Record<number, ProgressCopy>>
  readonly known?: Readonly<Record<string, KnownCopy>>
  readonly found?: Readonly<Record<string, KnownCopy>>
  readonly givers?: Readonly<Record<string, readonly string[]>>
}

const viewOf = ({ copies = {}, found, givers = {}, holders, known, owners }: World): CopyView => ({
  holders,
  ownerOf: (slot) => owners[slot] ?? 'none',
  copyAt: (slot) => copies[slot] ?? NONE,
  known: known === undefined ? undefined : new Map(Object.entries(known)),
  found: found === undefined ? undefined : new Map(Object.entries(found)),
  giversOf: (master) => new Set(givers[master]),
})

/** Master a owns slots 1 and 2, and carries its copy in slot 1. */
const a: CopyHolder = { master: 'a', slot: 1, slots: '1,2' }
const b: CopyHolder = { master: 'b', slot: 5, slots: '5' }
const knownOfA: KnownCopy = { slot: 1, claim: '1,2 a', next: 50 }
const knownOfB: KnownCopy = { slot: 5, claim: '5 b', next: 50 }
const owners = { 1: 'a', 2: 'a', 5: 'b' }

const EXCHANGED: World = {
  holders: [a, b],
  owners: { ...owners, 5: 'b' },
  copies: { 5: copy(50, '5 b') },
  known: { a: { slot: 5, claim: '5 a', next: 50 }, b: { slot: 1, claim: '1 b', next: 50 } },
  found: { a: { slot: 1, claim: '1 b', next: 50 } },
}

describe('what a copy proves about its master a', () => {
  test.each<[what: string, World, Evidence]>([
    [
      'at the start: the copy that claims all slots',
      { holders: [a], owners, copies: { 1: copy(50, '1,2 a') } },
      { next: 50, isWhole: true },
    ],
    [
      'at the start: a copy that does not claim all slots proves that nothing before it is lacking only if it is not behind',
      { holders: [a], owners, copies: { 1: copy(50, '1 a') } },
      { next: 50, isWhole: false },
    ],
    ['at the start: no copy', { holders: [a], owners }, undefined],
    [
      'the copy as it was written',
      { holders: [a], owners, copies: { 1: copy(50, '1,2 a') }, known: { a: knownOfA } },
      { next: 50, isWhole: true },
    ],
    [
      'the copy of an earlier time',
      { holders: [a], owners, copies: { 1: copy(30, '1,2 a') }, known: { a: knownOfA } },
      { next: 30, isWhole: true },
    ],
    // Slot 1 has come from b with b's copy, and a's has left with slot 5; a's new copy was sent, and not answered.
    [
      'the copy that was found before an unanswered write is as it was',
      { ...EXCHANGED, copies: { ...EXCHANGED.copies, 1: copy(50, '1 b') } },
      { next: 50, isWhole: false },
    ],
    [
      'the unanswered write was executed',
      { ...EXCHANGED, copies: { ...EXCHANGED.copies, 1: copy(60, '1,2 a') } },
      { next: 60, isWhole: true },
    ],
    ['the copy that was found before an unanswered write is gone: wiped', EXCHANGED, undefined],
    [
      'the copy that was found before an unanswered write has fallen back',
      { ...EXCHANGED, copies: { ...EXCHANGED.copies, 1: copy(40, '1 b') } },
      undefined,
    ],
    [
      'the copy is gone, and its slot is not: wiped',
      { holders: [a], owners, known: { a: knownOfA } },
      undefined,
    ],
    [
      'a copy that claims what was owned before slots were imported, although it was written since: it fell back',
      { holders: [a], owners, copies: { 1: copy(50, '1 a') }, known: { a: knownOfA } },
      undefined,
    ],
    [
      'slot 2 was imported since the copy was written',
      { holders: [a], owners, copies: { 1: copy(50, '1 a') }, known: { a: { ...knownOfA, claim: '1 a' } } },
      { next: 50, isWhole: false },
    ],
    [
      'slot 2 was imported since the copy was written, and the copy has fallen back: so has slot 2',
      { holders: [a], owners, copies: { 1: copy(40, '1 a') }, known: { a: { ...knownOfA, claim: '1 a' } } },
      undefined,
    ],
    [
      'another worker has claimed the imported slot already',
      { holders: [a], owners, copies: { 1: copy(50, '1,2 a') }, known: { a: { ...knownOfA, claim: '1 a' } } },
      { next: 50, isWhole: true },
    ],
    [
      'the slot of the copy moved to b, and took the copy along',
      {
        holders: [{ ...a, slot: 2, slots: '2' }, b],
        owners: { 1: 'b', 2: 'a', 5: 'b' },
        copies: { 1: copy(50, '1,2 a') },
        known: { a: knownOfA, b: knownOfB },
      },
      { next: 50, isWhole: false },
    ],
    [
      'the slot of the copy moved to b, which has lost it',
      {
        holders: [{ ...a, slot: 2, slots: '2' }, b],
        owners: { 1: 'b', 2: 'a', 5: 'b' },
        known: { a: knownOfA, b: knownOfB },
      },
      undefined,
    ],
    [
      'a better slot was imported with an old copy in it: the one in the former slot counts',
      {
        holders: [{ ...a, slot: 0, slots: '0,1,2' }],
        owners: { ...owners, 0: 'a' },
        copies: { 0: copy(10, '0 b'), 1: copy(50, '1,2 a') },
        known: { a: knownOfA },
      },
      { next: 50, isWhole: false },
    ],
    [
      'another worker has moved the copy to a better slot',
      {
        holders: [{ ...a, slot: 0, slots: '0,1,2' }],
        owners: { ...owners, 0: 'a' },
        copies: { 0: copy(60, '0,1,2 a') },
        known: { a: knownOfA },
      },
      { next: 60, isWhole: true },
    ],
    [
      'a was promoted in the place of c, with the copy',
      {
        holders: [a, b],
        owners,
        copies: { 1: copy(40, '1,2 c') },
        known: { c: { ...knownOfA, claim: '1,2 c' }, b: knownOfB },
        givers: { a: ['c'] },
      },
      { next: 40, isWhole: true },
    ],
    [
      'a has lost its data, gave all of its slots to b, and got those of b with the copy of b',
      {
        holders: [
          { ...a, slot: 5, slots: '5' },
          { ...b, slot: 1, slots: '1,2' },
        ],
        owners: { 1: 'b', 2: 'b', 5: 'a' },
        copies: { 5: copy(50, '5 b') },
        known: { a: knownOfA, b: knownOfB },
      },
      undefined,
    ],
    [
      'a was promoted in the place of c, and is empty',
      { holders: [a, b], owners, known: { c: knownOfA, b: knownOfB }, givers: { a: ['c'] } },
      undefined,
    ],
    [
      'a was promoted in the place of c, which had imported slots that a does not hold',
      {
        holders: [a, b],
        owners,
        copies: { 1: copy(50, '1 c') },
        known: { c: { ...knownOfA, claim: '1 c' }, b: knownOfB },
        givers: { a: ['c', 'b'] },
      },
      undefined,
    ],
    [
      'a was added, and got its slots from b, whose copy another worker has renewed',
      {
        holders: [a, b],
        owners,
        copies: { 5: copy(50, '5 b') },
        known: { b: { ...knownOfB, claim: '1,2,5 b' } },
        givers: { a: ['b'] },
      },
      { next: 50, isWhole: false },
    ],
    [
      'a was added, and got its slots from b, whose copy is as it was',
      {
        holders: [a, b],
        owners,
        copies: { 5: copy(50, '1,2,5 b') },
        known: { b: { ...knownOfB, claim: '1,2,5 b' } },
        givers: { a: ['b'] },
      },
      { next: 50, isWhole: false },
    ],
    [
      'a was added, and got its slots from b, which has fallen behind',
      {
        holders: [a, b],
        owners,
        copies: { 5: copy(20, '1,2,5 b') },
        known: { b: { ...knownOfB, claim: '1,2,5 b' } },
        givers: { a: ['b'] },
      },
      undefined,
    ],
  ])('%s', (_, world, expected) => {
    const [first] = world.holders
    expect(first && evidenceOf(first, viewOf(world))).toEqual(expected)
  })
})

describe('all masters together', () => {
  const both = { holders: [a, b], owners }

  test('the lowest counts', () => {
    const copies = { 1: copy(50, '1,2 a'), 5: copy(40, '5 b') }
    expect(combinedProgress(viewOf({ ...both, copies }))).toEqual({
      next: 40,
      isWhole: true,
      rebuildUntil: undefined,
      isRebuildRequested: false,
    })
  })

  test('a master without a copy has lost everything', () => {
    expect(combinedProgress(viewOf({ ...both, copies: { 1: copy(50, '1,2 a') } })).next).toBeUndefined()
  })

  test('one copy that does not claim all slots makes all of them doubtful', () => {
    const copies = { 1: copy(50, '1 a'), 5: copy(40, '5 b') }
    expect(combinedProgress(viewOf({ ...both, copies }))).toMatchObject({ next: 40, isWhole: false })
  })

  test('a master that gave all of its slots away, without what they should have held, has lost everything', () => {
    const view = {
      holders: [{ ...a, slots: '1,2,5' }],
      owners: { 1: 'a', 2: 'a', 5: 'a' },
      copies: { 1: copy(50, '1,2 a') },
      known: { a: knownOfA, b: knownOfB },
    }
    expect(combinedProgress(viewOf(view)).next).toBeUndefined()
    expect(combinedProgress(viewOf({ ...view, copies: { ...view.copies, 5: copy(50, '5 b') } })).next).toBe(
      50,
    )
    expect(combinedProgress(viewOf({ ...view, copies: { ...view.copies, 5: copy(30, '5 b') } })).next).toBe(
      30,
    )
  })

  test('what a master left behind is of no interest once another worker has claimed all slots', () => {
    const view = {
      holders: [{ ...a, slots: '1,2,5' }],
      owners: { 1: 'a', 2: 'a', 5: 'a' },
      copies: { 1: copy(60, '1,2,5 a') },
      known: { a: knownOfA, b: knownOfB },
    }
    expect(combinedProgress(viewOf(view))).toMatchObject({ next: 60, isWhole: true })
  })

  test('the mark of a rebuild, or a request for one, counts on whichever master it is', () => {
    const copies = {
      1: { ...copy(50, '1,2 a'), rebuildUntil: 70 },
      5: { ...copy(40, '5 b'), rebuildUntil: 60, isRebuildRequested: true },
    }
    expect(combinedProgress(viewOf({ ...both, copies }))).toMatchObject({
      rebuildUntil: 70,
      isRebuildRequested: true,
    })
  })
})

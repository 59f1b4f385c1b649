import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ABANDONED,
  compareNothing,
  compareProgress,
  IN_STEP,
  isOfEarlierTopic,
  needsComparison,
  progressOf,
  stepCursor,
  UNKNOWN,
  type CursorInput,
  type CursorStep,
  type ProgressCursor,
} from '../../../../cache-service/core/workers/progress-cursor.ts'

type Mode = ProgressCursor['kind']
type InputKind = CursorInput['kind']
type CursorIn<M extends Mode> = Extract<ProgressCursor, { kind: M }>
type InputOf<K extends InputKind> = Extract<CursorInput, { kind: K }>

const cursors: { readonly [M in Mode]: CursorIn<M> } = {
  unknown: { kind: 'unknown' },
  empty: { kind: 'empty' },
  in_step: { kind: 'in_step', progress: 50 },
  rebuilding: { kind: 'rebuilding', progress: 50, until: 80 },
  rewinding: { kind: 'rewinding', to: 10, until: 80 },
}

const atFifty = { position: 50, storedUntil: undefined, isRequested: false, end: 100 }
const inputs: { readonly [K in InputKind]: InputOf<K> } = {
  no_records: { kind: 'no_records' },
  no_commit: { kind: 'no_commit' },
  in_step: { kind: 'in_step', ...atFifty, storedProgress: 60 },
  nothing_to_reread: { kind: 'nothing_to_reread', ...atFifty, storedProgress: undefined },
  foreign: { kind: 'foreign', ...atFifty, storedProgress: 500 },
  earlier_topic: { kind: 'earlier_topic', ...atFifty, storedProgress: 40, earliest: 5, end: 20 },
  lost: { kind: 'lost', ...atFifty, storedProgress: 30, rewindTo: 30 },
  advanced: { kind: 'advanced', next: 60 },
  overtaken: { kind: 'overtaken', next: 60, storedProgress: 70 },
}

const inStepAt = (progress: number): ProgressCursor => ({ kind: 'in_step', progress })
const rebuildingAt = (progress: number, until: number): ProgressCursor => ({
  kind: 'rebuilding',
  progress,
  until,
})

const stays = (cursor: ProgressCursor): CursorStep => ({ cursor, effects: [], verdict: IN_STEP })
const abandons = (cursor: ProgressCursor): CursorStep => ({ cursor, effects: [], verdict: ABANDONED })
const overwrite = (next: number, stored?: number) => ({ kind: 'overwrite_progress', stored, next }) as const

const found: CursorStep = { cursor: inStepAt(60), effects: [], verdict: IN_STEP }
const marks = (until: number) => ({ kind: 'mark_rebuild', until }) as const
/** The mark is not in the Redis that is compared. */
const stillRebuilding: CursorStep = { cursor: rebuildingAt(60, 80), effects: [marks(80)], verdict: IN_STEP }
const firstFill: CursorStep = {
  cursor: rebuildingAt(50, 100),
  effects: [marks(100), overwrite(50), { kind: 'report_first_fill', until: 100 }],
  verdict: IN_STEP,
}
const keepsRebuilding: CursorStep = {
  cursor: rebuildingAt(50, 80),
  effects: [marks(80), overwrite(50)],
  verdict: IN_STEP,
}
const overwritten: CursorStep = {
  cursor: inStepAt(50),
  effects: [
    overwrite(50, 500),
    { kind: 'unmark_rebuild' },
    { kind: 'report_overwritten', stored: 500, position: 50 },
  ],
  verdict: IN_STEP,
}
const restarts: CursorStep = {
  cursor: inStepAt(5),
  effects: [
    overwrite(5, 40),
    { kind: 'unmark_rebuild' },
    { kind: 'report_overwritten', stored: 40, position: 5 },
  ],
  verdict: { kind: 'rewind', to: 5 },
}
const rewinds: CursorStep = {
  cursor: { kind: 'rewinding', to: 30, until: 100 },
  effects: [marks(100), { kind: 'report_loss', stored: 30, position: 50, rewindTo: 30 }],
  verdict: { kind: 'rewind', to: 30 },
}

const truthTable: Record<Mode, Record<InputKind, CursorStep>> = {
  unknown: {
    no_records: stays(cursors.empty),
    no_commit: stays(cursors.unknown),
    in_step: found,
    nothing_to_reread: firstFill,
    foreign: overwritten,
    earlier_topic: restarts,
    lost: rewinds,
    advanced: abandons(cursors.unknown),
    overtaken: abandons(cursors.unknown),
  },
  empty: {
    no_records: stays(cursors.empty),
    no_commit: stays(cursors.empty),
    in_step: found,
    nothing_to_reread: firstFill,
    foreign: overwritten,
    earlier_topic: restarts,
    lost: rewinds,
    advanced: abandons(cursors.empty),
    overtaken: abandons(cursors.empty),
  },
  in_step: {
    no_records: stays(cursors.in_step),
    no_commit: stays(cursors.in_step),
    in_step: found,
    nothing_to_reread: firstFill,
    foreign: overwritten,
    earlier_topic: restarts,
    lost: rewinds,
    advanced: { cursor: inStepAt(60), effects: [], verdict: IN_STEP },
    overtaken: { cursor: inStepAt(70), effects: [], verdict: IN_STEP },
  },
  rebuilding: {
    no_records: stays(cursors.rebuilding),
    no_commit: stays(cursors.rebuilding),
    in_step: stillRebuilding,
    nothing_to_reread: keepsRebuilding,
    foreign: overwritten,
    earlier_topic: restarts,
    lost: rewinds,
    advanced: { cursor: rebuildingAt(60, 80), effects: [], verdict: IN_STEP },
    overtaken: { cursor: rebuildingAt(70, 80), effects: [marks(80)], verdict: IN_STEP },
  },
  rewinding: {
    no_records: stays(cursors.rewinding),
    no_commit: stays(cursors.rewinding),
    in_step: stillRebuilding,
    nothing_to_reread: keepsRebuilding,
    foreign: overwritten,
    earlier_topic: restarts,
    lost: rewinds,
    advanced: abandons(cursors.rewinding),
    overtaken: abandons(cursors.rewinding),
  },
}

const cells = Object.values(cursors).flatMap((cursor) =>
  Object.values(inputs).map((input) => ({ cursor, input, mode: cursor.kind, kind: input.kind })),
)

describe('a progress cursor', () => {
  test.each(cells)('in mode $mode takes the step of the truth table on $kind', ({ cursor, input }) => {
    expect(stepCursor(cursor, input)).toEqual(truthTable[cursor.kind][input.kind])
  })

  test('lets a chunk advance progress only after a comparison in its own generation (G1)', () => {
    for (const cursor of Object.values(cursors)) {
      const mayAdvance = progressOf(cursor) !== undefined
      expect(mayAdvance).toBe(cursor.kind === 'in_step' || cursor.kind === 'rebuilding')
      for (const input of [inputs.advanced, inputs.overtaken]) {
        expect(stepCursor(cursor, input).verdict).toEqual(mayAdvance ? IN_STEP : ABANDONED)
      }
    }
    expect(progressOf(UNKNOWN)).toBeUndefined()
  })
})

describe('a rebuild', () => {
  const unmark = { kind: 'unmark_rebuild' } as const

  test.each([
    [79, rebuildingAt(79, 80), []],
    [80, inStepAt(80), [unmark, { kind: 'report_rebuilt', next: 80 }]],
    [90, inStepAt(90), [unmark, { kind: 'report_rebuilt', next: 90 }]],
  ])('after a chunk that ends at %i of a rebuild until 80 is %o', (next, cursor, effects) => {
    expect(stepCursor(cursors.rebuilding, { kind: 'advanced', next })).toEqual({
      cursor,
      effects,
      verdict: IN_STEP,
    })
  })

  test('is completed by a chunk of this worker, although another worker is ahead', () => {
    expect(stepCursor(cursors.rebuilding, { kind: 'overtaken', next: 85, storedProgress: 90 })).toMatchObject(
      {
        cursor: inStepAt(90),
        effects: [unmark, { kind: 'report_rebuilt', next: 85 }],
      },
    )
    expect(stepCursor(cursors.rebuilding, { kind: 'overtaken', next: 70, storedProgress: 90 })).toMatchObject(
      { cursor: rebuildingAt(90, 80), effects: [marks(80)] },
    )
  })

  test.each([
    [61, rebuildingAt(60, 61), []],
    [60, inStepAt(60), [unmark]],
    [59, inStepAt(60), [unmark]],
  ])(
    'that an earlier worker marked until %i goes on if progress 60 is before that',
    (until, cursor, effects) => {
      expect(stepCursor(UNKNOWN, { ...inputs.in_step, storedUntil: until })).toEqual({
        cursor,
        effects,
        verdict: IN_STEP,
      })
    },
  )

  test('whose worker died between storing the progress and removing the request is not requested again', () => {
    const request = { ...inputs.in_step, isRequested: true }
    expect(stepCursor(UNKNOWN, request)).toEqual({
      cursor: inStepAt(60),
      effects: [unmark],
      verdict: IN_STEP,
    })
    expect(stepCursor(UNKNOWN, { ...request, storedUntil: 80 }).effects).toEqual([marks(80)])
  })

  test('is over if Kafka has deleted everything before its end meanwhile', () => {
    for (const cursor of [cursors.rewinding, cursors.rebuilding])
      expect(stepCursor(cursor, { ...inputs.nothing_to_reread, position: 80 })).toEqual({
        cursor: inStepAt(80),
        effects: [overwrite(80), unmark, { kind: 'report_rebuilt', next: 80 }],
        verdict: IN_STEP,
      })
  })

  test('of a topic that was created again, shorter, ends at the end of the new one', () => {
    for (const cursor of [cursors.rewinding, cursors.rebuilding]) {
      const half = { ...inputs.in_step, storedProgress: 60, storedUntil: 80, end: 70 }
      expect(isOfEarlierTopic(cursor, half)).toBe(true)
      expect(stepCursor(cursor, half)).toMatchObject({ cursor: rebuildingAt(60, 70), effects: [marks(70)] })
      const whole = { ...inputs.nothing_to_reread, storedProgress: 30, position: 70, end: 70 }
      expect(stepCursor(cursor, whole)).toMatchObject({ cursor: inStepAt(70), verdict: IN_STEP })
    }
    expect(isOfEarlierTopic(cursors.rebuilding, { ...inputs.in_step, end: 80 })).toBe(false)
    expect(isOfEarlierTopic(UNKNOWN, { ...inputs.in_step, storedUntil: 101 })).toBe(true)
  })

  test('is marked again whenever the mark of its end is missing or another one (G6)', () => {
    for (const cursor of [cursors.rebuilding, cursors.rewinding]) {
      for (const input of [inputs.in_step, inputs.nothing_to_reread]) {
        const markOf = (storedUntil: number | undefined) =>
          stepCursor(cursor, { ...input, storedUntil }).effects.find(({ kind }) => kind === 'mark_rebuild')
        expect([markOf(undefined), markOf(70), markOf(80)]).toEqual([marks(80), marks(80), undefined])
      }
    }
  })

  test('that was requested is not reported as a loss', () => {
    expect(stepCursor(cursors.in_step, { ...inputs.lost, isRequested: true })).toEqual({
      ...rewinds,
      effects: [marks(100), { kind: 'report_requested', position: 50, rewindTo: 30 }],
    })
  })

  test('keeps the later end of the one in Redis and its own', () => {
    const endOf = ({ cursor }: CursorStep) => ('until' in cursor ? cursor.until : undefined)
    expect(endOf(stepCursor(cursors.rebuilding, { ...inputs.in_step, storedUntil: 70 }))).toBe(80)
    expect(endOf(stepCursor(cursors.rebuilding, { ...inputs.in_step, storedUntil: 90 }))).toBe(90)
    expect(endOf(stepCursor(cursors.unknown, { ...inputs.nothing_to_reread, storedUntil: 70 }))).toBe(70)
  })

  test('does not begin where Redis held progress, or where no record is left', () => {
    expect(stepCursor(UNKNOWN, { ...inputs.nothing_to_reread, storedProgress: 30 }).cursor).toEqual(
      inStepAt(50),
    )
    expect(stepCursor(UNKNOWN, { ...inputs.nothing_to_reread, end: 50 }).cursor).toEqual(inStepAt(50))
  })
})

describe('the periodic check', () => {
  type Stored = 'missing' | 'behind' | 'equal' | 'ahead' | 'marked' | 'requested'
  const expected: Record<Mode, Record<Stored, boolean>> = {
    unknown: { missing: true, behind: true, equal: true, ahead: true, marked: true, requested: true },
    empty: { missing: false, behind: false, equal: false, ahead: false, marked: true, requested: true },
    in_step: { missing: true, behind: true, equal: false, ahead: false, marked: true, requested: true },
    rebuilding: { missing: true, behind: true, equal: true, ahead: true, marked: true, requested: true },
    rewinding: {
      missing: false,
      behind: false,
      equal: false,
      ahead: false,
      marked: false,
      requested: false,
    },
  }

  test.each(Object.values(cursors))('compares a partition in mode $kind only if it has to', (cursor) => {
    const at = (next: number) => ({ next, rebuildUntil: undefined, isWhole: true, isRebuildRequested: false })
    expect({
      missing: needsComparison(cursor, undefined),
      behind: needsComparison(cursor, at(49)),
      equal: needsComparison(cursor, at(50)),
      ahead: needsComparison(cursor, at(51)),
      marked: needsComparison(cursor, { ...at(50), rebuildUntil: 50 }),
      requested: needsComparison(cursor, {
        ...at(50),
        next: undefined,
        isWhole: true,
        isRebuildRequested: true,
      }),
    }).toEqual(expected[cursor.kind])
  })
})

describe('a comparison', () => {
  test('without a commit asks only whether the partition holds a record', () => {
    expect(compareNothing({ earliest: 7, end: 7 }, undefined)).toEqual({ kind: 'no_records' })
    expect(compareNothing({ earliest: 7, end: 8 }, undefined)).toEqual({ kind: 'no_commit' })
  })

  test('without a commit and without a record ends a rebuild that was begun or requested', () => {
    const stored = { next: 5, rebuildUntil: 7, isWhole: true, isRebuildRequested: false }
    const begun = stepCursor(UNKNOWN, compareNothing({ earliest: 7, end: 7 }, stored))
    expect(begun).toMatchObject({ cursor: inStepAt(7), verdict: IN_STEP })
    expect(begun.effects.map(({ kind }) => kind)).toEqual([
      'overwrite_progress',
      'unmark_rebuild',
      'report_rebuilt',
    ])
    const request = { next: undefined, rebuildUntil: undefined, isWhole: true, isRebuildRequested: true }
    expect(stepCursor(cursors.empty, compareNothing({ earliest: 7, end: 7 }, request))).toEqual({
      cursor: inStepAt(7),
      effects: [overwrite(7)],
      verdict: IN_STEP,
    })
  })

  test('of a position after the end concerns an earlier topic', () => {
    const kafka = { earliest: 5, end: 20 }
    const stored = { next: 40, rebuildUntil: undefined, isWhole: true, isRebuildRequested: false }
    expect(compareProgress(20, kafka, stored).kind).toBe('foreign')
    expect(compareProgress(21, kafka, stored)).toMatchObject({ kind: 'earlier_topic', earliest: 5 })
    expect(isOfEarlierTopic(cursors.in_step, compareProgress(21, kafka, stored))).toBe(true)
    expect(isOfEarlierTopic(cursors.in_step, compareProgress(20, { ...kafka, end: 50 }, stored))).toBe(false)
  })

  test('carries what was compared', () => {
    const kafka = { earliest: 0, end: 100 }
    expect(
      compareProgress(50, kafka, { next: 30, rebuildUntil: 80, isWhole: true, isRebuildRequested: true }),
    ).toEqual({
      kind: 'lost',
      rewindTo: 30,
      position: 50,
      storedProgress: 30,
      storedUntil: 80,
      isRequested: true,
      end: 100,
    })
    expect(compareProgress(0, kafka, undefined)).toMatchObject({
      kind: 'nothing_to_reread',
      storedProgress: undefined,
      storedUntil: undefined,
      isRequested: false,
    })
  })
})

const offset = fc.nat({ max: 12 })
const perhapsOffset = fc.option(offset, { nil: undefined })
const anyCursor: fc.Arbitrary<ProgressCursor> = fc.oneof(
  fc.constantFrom(cursors.unknown, cursors.empty),
  offset.map(inStepAt),
  fc.tuple(offset, offset).map(([progress, until]) => rebuildingAt(progress, until)),
  offset.map((until) => cursorRewinding(until)),
)
const anyComparison = fc
  .tuple(offset, offset, offset, perhapsOffset, perhapsOffset, fc.boolean())
  .map(([position, a, b, next, rebuildUntil, isRebuildRequested]) =>
    compareProgress(
      position,
      { earliest: Math.min(a, b), end: Math.max(a, b) },
      { next, rebuildUntil, isWhole: true, isRebuildRequested },
    ),
  )
const anyChunk: fc.Arbitrary<CursorInput> = fc.oneof(
  offset.map((next) => ({ kind: 'advanced', next }) as const),
  fc
    .tuple(offset, offset)
    .map(([next, storedProgress]) => ({ kind: 'overtaken', next, storedProgress }) as const),
)

function cursorRewinding(until: number): ProgressCursor {
  return { kind: 'rewinding', to: 0, until }
}

describe('in any mode, with any offsets', () => {
  test('only progress of an earlier topic is overwritten with a smaller offset (G5)', () => {
    fc.assert(
      fc.property(anyCursor, fc.oneof(anyComparison, anyChunk), (cursor, input) => {
        if (input.kind === 'foreign' || input.kind === 'earlier_topic' || !('storedProgress' in input)) return
        for (const effect of stepCursor(cursor, input).effects) {
          if (effect.kind === 'overwrite_progress')
            expect(effect.next).toBeGreaterThanOrEqual(input.storedProgress ?? 0)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('a chunk never takes progress back', () => {
    fc.assert(
      fc.property(anyCursor, anyChunk, (cursor, input) => {
        const before = progressOf(cursor)
        if (before === undefined || (input.kind === 'overtaken' && input.storedProgress <= before)) return
        expect(progressOf(stepCursor(cursor, input).cursor)).toBeGreaterThanOrEqual(before)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a rebuild ends where it was to end, and only when progress is there (G7)', () => {
    fc.assert(
      fc.property(anyCursor, fc.oneof(anyComparison, anyChunk), (cursor, input) => {
        if (!('until' in cursor) || isOfEarlierTopic(cursor, input)) return
        const { cursor: after } = stepCursor(cursor, input)
        if ('until' in after) expect(after.until).toBeGreaterThanOrEqual(cursor.until)
        else expect(progressOf(after)).toBeGreaterThanOrEqual(cursor.until)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a loss is marked in Redis before it is reported, and ends at the end of the partition or later (G6)', () => {
    fc.assert(
      fc.property(anyCursor, anyComparison, (cursor, input) => {
        if (input.kind !== 'lost') return
        const { cursor: after, effects, verdict } = stepCursor(cursor, input)
        if (after.kind !== 'rewinding') throw new Error(`a loss leads to ${after.kind}`)
        expect(after.until).toBeGreaterThanOrEqual(Math.max(input.position, input.end))
        const report = input.isRequested ? 'report_requested' : 'report_loss'
        expect(effects.map(({ kind }) => kind)).toEqual(['mark_rebuild', report])
        expect(effects[0]).toEqual({ kind: 'mark_rebuild', until: after.until })
        expect(verdict).toEqual({ kind: 'rewind', to: input.rewindTo })
      }),
      { numRuns: 2_000 },
    )
  })
})

test('what is read again from before the stored progress counts from there', () => {
  const stored = { next: 40, isWhole: false, rebuildUntil: undefined, isRebuildRequested: false }
  const input = compareProgress(50, { earliest: 10, end: 100 }, stored)
  expect(stepCursor(inStepAt(50), input)).toEqual({
    cursor: { kind: 'rewinding', to: 10, until: 100 },
    effects: [marks(100), overwrite(10, 40), { kind: 'report_loss', stored: 40, position: 50, rewindTo: 10 }],
    verdict: { kind: 'rewind', to: 10 },
  })
})

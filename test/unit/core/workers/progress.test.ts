import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { judgeProgress, type ProgressVerdict } from '../../../../cache-service/core/workers/progress.ts'

const rewind = (rewindTo: number): ProgressVerdict => ({ kind: 'lost', rewindTo })

test.each<
  [
    what: string,
    stored: number | undefined,
    position: number,
    earliest: number,
    end: number,
    verdict: ProgressVerdict,
  ]
>([
  ['is equal to the position', 50, 50, 0, 100, { kind: 'in_step' }],
  [
    'is ahead of the position: another worker got further than the commit',
    70,
    50,
    0,
    100,
    { kind: 'in_step' },
  ],
  ['is at the end, as is the position', 100, 100, 0, 100, { kind: 'in_step' }],
  ['is missing, while Kafka has all records', undefined, 50, 0, 100, rewind(0)],
  ['is missing, while Kafka has deleted some records', undefined, 50, 20, 100, rewind(20)],
  [
    'is missing, with the position at the earliest record',
    undefined,
    20,
    20,
    100,
    { kind: 'nothing_to_reread' },
  ],
  ['is missing in an empty topic', undefined, 0, 0, 0, { kind: 'nothing_to_reread' }],
  [
    'is missing, while Kafka has deleted all records',
    undefined,
    100,
    100,
    100,
    { kind: 'nothing_to_reread' },
  ],
  ['is behind: an older snapshot', 30, 50, 0, 100, rewind(30)],
  ['is behind, while Kafka has deleted some of the lost records', 30, 50, 40, 100, rewind(40)],
  [
    'is behind, while Kafka has deleted all of the lost records',
    30,
    50,
    50,
    100,
    { kind: 'nothing_to_reread' },
  ],
  ['is behind by one record', 49, 50, 0, 100, rewind(49)],
  ['is 0, for a partition that was never filled', 0, 50, 0, 100, rewind(0)],
  ['is beyond the end: the topic was deleted and created again', 500, 50, 0, 100, { kind: 'foreign' }],
  ['is beyond an empty topic', 500, 0, 0, 0, { kind: 'foreign' }],
  [
    'is beyond the end but not beyond the position: the end was read earlier',
    101,
    101,
    0,
    100,
    { kind: 'in_step' },
  ],
])('stored progress that %s is judged', (_, stored, position, earliest, end, verdict) => {
  expect(judgeProgress({ next: stored, isWhole: true }, position, earliest, end)).toEqual(verdict)
})

test('a rewind never goes forward, never before the earliest record, and skips no record that Redis lacks (G4)', () => {
  const offset = fc.nat({ max: 20 })
  fc.assert(
    fc.property(fc.option(offset, { nil: undefined }), offset, offset, offset, (stored, position, a, b) => {
      const [earliest, end] = [Math.min(a, b), Math.max(a, b)]
      const verdict = judgeProgress({ next: stored, isWhole: true }, position, earliest, end)
      const isMissing = stored === undefined || stored < position
      if (verdict.kind === 'lost') {
        expect(isMissing).toBe(true)
        expect(verdict.rewindTo).toBeLessThan(position)
        expect(verdict.rewindTo).toBeGreaterThanOrEqual(earliest)
        expect(verdict.rewindTo).toBe(Math.max(stored ?? 0, earliest))
      } else if (verdict.kind === 'nothing_to_reread') {
        expect(isMissing).toBe(true)
        expect(earliest).toBeGreaterThanOrEqual(position)
      } else {
        expect(stored).toBeGreaterThanOrEqual(position)
      }
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  ['is not behind', 50, { kind: 'in_step' }],
  ['is behind', 40, { kind: 'lost', rewindTo: 10 }],
])(
  'progress that says too little, and %s, means that everything is lost if anything is',
  (_, next, verdict) => {
    expect(judgeProgress({ next, isWhole: false }, 50, 10, 100)).toEqual(verdict)
  },
)

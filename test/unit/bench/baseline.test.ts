import { describe, expect, test } from 'vitest'
import { isSlower, ratioLines, ratiosOf } from '../../bench/worker/baseline.ts'
import { summarize } from '../../bench/worker/figures.ts'

const results = {
  'wide: KafkaJS + JSON.parse': summarize([{ 'records/s': 100_000, 'µs/record': 8 }]),
  'wide: worker': summarize([
    { 'records/s': 40_000, 'worker, µs/record': 20, 'Redis, µs/record': 15, 'Kafka, µs/record': 2 },
  ]),
  'wide: worker of the other': summarize([{ 'records/s': 30_000, 'worker, µs/record': 30 }]),
  '2000/s, 3 partitions: worker': summarize([{ 'median, ms': 5 }]),
}

test('ratios relate the worker to the ceiling of the same run, and to its costs', () => {
  const ratios = ratiosOf(results)
  expect(Object.keys(ratios)).toEqual(['wide'])
  expect(ratios['wide']?.ofCeiling).toBeCloseTo(0.4)
  // One processor does 50,000 of 20 µs each.
  expect(ratios['wide']?.ofProcessors).toBeCloseTo(0.8)
  expect(ratios['wide']?.cost).toBeCloseTo(2.5)
})

describe('a baseline', () => {
  const before = { ofCeiling: 0.4, ofProcessors: 0.8, cost: 2.5 }

  test.each([
    ['the same', before, false],
    ['a slower machine with the same ratios', { ...before, ofCeiling: 0.3 }, false],
    ['noise', { ofCeiling: 0.4, ofProcessors: 0.7, cost: 2.9 }, false],
    ['more processor time', { ...before, cost: 3.1 }, true],
    ['waiting', { ...before, ofProcessors: 0.6 }, true],
  ])('is compared: %s', (_, now, slower) => {
    expect(isSlower(now, before)).toBe(slower)
    expect(ratioLines({ wide: now }, { wide: before }).join().includes('SLOWER')).toBe(slower)
  })

  test('may be absent', () => {
    expect(ratioLines({ wide: before }, {})).toEqual([
      'wide: 0.40 of the rate of KafkaJS + JSON.parse, 2.50 times its processor time, 0.80 of what two processors allow',
    ])
  })
})

import { beforeEach, describe, expect, test } from 'vitest'
import { LagMeter } from '../../../../cache-service/pipeline/worker/lag-meter.ts'

const START_MS = 1_749_407_237_000

let nowMs: number
let monotonicMs: number
let meter: LagMeter
beforeEach(() => {
  nowMs = START_MS
  monotonicMs = 0
  meter = new LagMeter({ now: () => nowMs, monotonicNow: () => monotonicMs })
})

function pass(ms: number): void {
  nowMs += ms
  monotonicMs += ms
}

/** A chunk of partition 0 whose records have these ages, in seconds. */
function chunk(position: number, next: number, ...agesS: readonly number[]) {
  const records = agesS.map((ageS, i) => ({
    offset: position + i,
    timestampMs: START_MS - ageS * 1000,
    key: null,
    value: null,
  }))
  return { partition: 0, position, next, records }
}

const lag = (committed: number | undefined, end: number) =>
  meter.measure(new Map([[0, { committed, earliest: 0, end }]]), [0]).get(0)

describe('the age of the lag', () => {
  test('is unknown until the partition is fetched, and 0 without lag', () => {
    expect(lag(undefined, 5)).toEqual({ records: 5, seconds: undefined })
    expect(lag(5, 5)).toEqual({ records: 0, seconds: 0 })
  })

  test('is that of the chunk that is being written, not of the next one, which is prepared meanwhile', () => {
    meter.began(chunk(0, 2, 60, 50))
    meter.began(chunk(2, 3, 10))
    expect(lag(undefined, 3)?.seconds).toBe(60)
    meter.durable(chunk(0, 2, 60, 50))
    expect(lag(undefined, 3)?.seconds).toBe(10)
  })

  test('is 0 for what is durable, but not committed yet', () => {
    meter.began(chunk(0, 3, 60, 50, 40))
    meter.durable(chunk(0, 3, 60, 50, 40))
    expect(lag(0, 3)).toEqual({ records: 3, seconds: 0 })
  })

  test('is the time for which there has been more than is durable, while that is not fetched', () => {
    meter.began(chunk(0, 1, 3_600))
    meter.durable(chunk(0, 1, 3_600))
    expect(lag(1, 2)?.seconds).toBe(0)
    pass(7_000)
    expect(lag(1, 2)?.seconds).toBe(7)
    meter.began(chunk(1, 2, 1))
    expect(lag(1, 2)?.seconds).toBe(8)
  })

  test.each([-3_600_000, 3_600_000])(
    'does not follow a wall clock that is set by %d ms in that time',
    (ms) => {
      meter.began(chunk(0, 1, 5))
      meter.durable(chunk(0, 1, 5))
      expect(lag(1, 2)?.seconds).toBe(0)
      pass(7_000)
      nowMs += ms
      expect(lag(1, 2)?.seconds).toBe(7)
    },
  )

  test('ignores offsets without a record, such as the end of a transaction', () => {
    meter.began(chunk(0, 1))
    meter.began(chunk(1, 2, 5))
    expect(lag(undefined, 2)?.seconds).toBe(5)
    meter.durable(chunk(0, 1))
    meter.durable(chunk(1, 2, 5))
    meter.began(chunk(2, 3))
    expect(lag(2, 3)?.seconds).toBe(0)
    meter.durable(chunk(2, 3))
    expect(lag(3, 3)).toEqual({ records: 0, seconds: 0 })
  })

  test('forgets a partition that was given away and comes back', () => {
    meter.began(chunk(0, 1, 3_600))
    meter.durable(chunk(0, 1, 3_600))
    meter.began(chunk(1, 2, 3_000))
    meter.assigned()
    expect(lag(50, 60)).toEqual({ records: 10, seconds: undefined })
    meter.began(chunk(50, 60, 2))
    expect(lag(50, 60)?.seconds).toBe(2)
  })

  test('is that of the records that are read again after a rewind', () => {
    meter.began(chunk(10, 11, 5))
    meter.began(chunk(11, 12, 4))
    meter.began(chunk(0, 10, 500))
    expect(lag(5, 12)?.seconds).toBe(500)
  })
})

import { beforeEach, describe, expect, test } from 'vitest'
import { ReportHistory } from '../../../../cache-service/pipeline/worker/report-history.ts'
import { WorkerFigures } from '../../../../cache-service/pipeline/worker/worker-figures.ts'
import { resultCounts } from '../../../support/records/result-counts.ts'

const START_MS = Date.parse('2026-01-01T00:00:00Z')

let nowMs: number
let monotonicMs: number
let figures: WorkerFigures
let history: ReportHistory
beforeEach(() => {
  nowMs = START_MS
  monotonicMs = 1_000
  const clocks = { now: () => nowMs, monotonicNow: () => monotonicMs }
  figures = new WorkerFigures('validated', clocks)
  history = new ReportHistory(figures, clocks)
})

function pass(seconds: number): void {
  nowMs += seconds * 1000
  monotonicMs += seconds * 1000
}

function consume(applied: number): void {
  figures.chunkApplied(resultCounts({ applied }))
}

const measureLag = (records: number) => figures.lagMeasured(new Map([[0, { records, seconds: undefined }]]))

describe('the history of a worker report', () => {
  test('is empty at the start', () => {
    expect(history.read()).toEqual({
      interval_ms: 15_000,
      at: '2026-01-01T00:00:00.000Z',
      consumed_per_second: [],
      lag: [],
      dead_letters: [],
    })
  })

  test('has a point every 15 s, the oldest first, however often it is read', () => {
    for (const [records, lag] of [
      [150, 7],
      [300, 3],
    ] as const) {
      for (let report = 1; report <= 3; report++) {
        consume(records / 3)
        pass(5)
        measureLag(lag)
        history.read()
        history.read()
      }
      figures.deadLettersSent(Array.from({ length: lag }, () => 'not_json'))
    }
    expect(history.read()).toMatchObject({
      at: '2026-01-01T00:00:30.000Z',
      consumed_per_second: [10, 20],
      lag: [7, 3],
      dead_letters: [0, 7],
    })
  })

  test('keeps its pace if the reports are a little early or late', () => {
    for (let report = 1; report <= 180; report++) {
      pass(report % 2 === 0 ? 4.98 : 5.02)
      consume(5)
      history.read()
    }
    const { consumed_per_second: rates } = history.read()
    expect(rates).toHaveLength(60)
    expect(new Set(rates)).toEqual(new Set([1]))
  })

  test('is at most 15 minutes long', () => {
    for (let point = 1; point <= 100; point++) {
      consume(point * 15)
      pass(15)
      history.read()
    }
    const { consumed_per_second: rates, dead_letters, lag } = history.read()
    expect(rates).toEqual(Array.from({ length: 60 }, (_, n) => n + 41))
    expect([dead_letters.length, lag.length]).toEqual([60, 60])
  })

  test('has the average rate and an unknown lag where no report came, however long that took', () => {
    consume(450)
    figures.deadLettersSent(['not_json', 'not_json'])
    pass(45)
    measureLag(4)
    expect(history.read()).toMatchObject({
      consumed_per_second: [10, 10, 10],
      lag: [null, null, 4],
      dead_letters: [0, 0, 2],
    })
    pass(100_000_000)
    expect(history.read().dead_letters).toHaveLength(60)
  })

  test('has an unknown lag while it cannot be measured', () => {
    measureLag(5)
    for (let point = 1; point <= 5; point++) {
      pass(15)
      history.read()
    }
    expect(history.read().lag).toEqual([5, 5, 5, null, null])
    measureLag(9)
    pass(15)
    expect(history.read().lag.at(-1)).toBe(9)
  })

  test('is not disturbed by a wall clock that is set back', () => {
    pass(15)
    history.read()
    nowMs -= 3_600_000
    pass(15)
    expect(history.read()).toMatchObject({ at: '2025-12-31T23:00:30.000Z', dead_letters: [0, 0] })
  })
})

import { describe, expect, test } from 'vitest'
import { fillGaps, historySamples } from '../../../cache-service/page/chart-samples.js'

const NOW = Date.parse('2026-01-01T12:00:00Z')

function history(more: object = {}) {
  const at = new Date(NOW - 3_000).toISOString()
  const points = { consumed_per_second: [10, 20, 30], lag: [null, 5, 7], dead_letters: [0, 1, 0] }
  return { history: { interval_ms: 15_000, at, ...points, ...more } }
}

describe('the history of the workers', () => {
  test('becomes samples with the units of the charts, oldest first', () => {
    expect(historySamples([history()], NOW)).toEqual([
      { atMs: NOW - 30_000, records: 10, lag: null, deadLetters: 0 },
      { atMs: NOW - 15_000, records: 20, lag: 5, deadLetters: 4 },
      { atMs: NOW, records: 30, lag: 7, deadLetters: 0 },
    ])
  })

  test('is the sum of all workers, also of one that started later or reports at another interval', () => {
    const young = history({ consumed_per_second: [1], lag: [2], dead_letters: [3] })
    const fast = history({
      ...{
        interval_ms: 7_500,
        consumed_per_second: [100, 200, 300],
        lag: [1, 1, 9],
        dead_letters: [0, 1, 1],
      },
      at: new Date(NOW).toISOString(),
    })
    expect(historySamples([history(), young, fast], NOW)).toEqual([
      { atMs: NOW - 30_000, records: 10, lag: null, deadLetters: 0 },
      { atMs: NOW - 15_000, records: 120, lag: 6, deadLetters: 4 },
      { atMs: NOW, records: 281, lag: 18, deadLetters: 20 },
    ])
  })

  test('of a worker with a wrong clock ends now', () => {
    const wrong = history({ at: new Date(NOW + 3_600_000).toISOString() })
    expect(historySamples([wrong], NOW).at(-1)).toEqual({ atMs: NOW, records: 30, lag: 7, deadLetters: 0 })
  })

  test.each([
    ['an older release', {}],
    ['a later release', { history: { points: [] } }],
    ['a worker that has just started', history({ consumed_per_second: [], lag: [], dead_letters: [] })],
  ])('of %s is empty', (_what, worker) => {
    expect(historySamples([worker], NOW)).toEqual([])
  })

  test('covers 15 minutes at most', () => {
    const long = history({ consumed_per_second: Array.from({ length: 500 }, () => 1) })
    expect(historySamples([long], NOW)).toHaveLength(60)
  })
})

describe('gaps between the samples', () => {
  type Sample = { atMs: number; records: number | null }
  const sample = (secondsAgo: number, records: number | null) => ({
    ...{ atMs: NOW - secondsAgo * 1_000, records },
    ...{ lag: records, deadLetters: records },
  })

  test('are filled from the history, before the page was opened and while it was asleep', () => {
    const own = [sample(600, 1), sample(595, 1), sample(5, 1), sample(0, 1)]
    const past = [sample(900, 2), sample(597, 2), sample(300, 2), sample(3, 2)]
    expect(fillGaps(own, past).map(({ atMs }: Sample) => (NOW - atMs) / 1_000)).toEqual([
      900, 600, 595, 300, 5, 0,
    ])
  })

  test('that were an outage of the API are filled when it is back', () => {
    const own = [sample(75, 1), sample(70, null), sample(50, null), sample(0, 1)]
    expect(fillGaps(own, [sample(45, 2)]).map(({ records }: Sample) => records)).toEqual([1, null, 2, 1])
  })

  test('remain unknown without a history', () => {
    const own = [sample(10, 1), sample(5, null), sample(0, 1)]
    expect(fillGaps(own, [])).toEqual(own)
  })
})

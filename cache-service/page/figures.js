import { sum } from './sum.js'
import { lagOf, runningOf } from './workers.js'

/** A sample for the charts: see charts.js. */
export function trafficSample({ api, reports }, nowMs) {
  const running = runningOf(reports.data ?? [])
  if (api.kind === 'unreachable' || reports.error !== undefined || running.length === 0)
    return { atMs: nowMs, records: null, lag: null, deadLetters: null }
  return {
    atMs: nowMs,
    records: sum(running.map(({ rates }) => rates.records)),
    lag: lagOf(running),
    deadLetters: sum(running.map(({ rates }) => rates.dead_letters)) * 60,
  }
}

/** The hit rate since the page was opened: that of the server covers all the time since it started. */
export function createRedisFigures() {
  let first
  const figures = {
    /** 0 to 1; null: no lookups. */
    recentHitRate: null,
    /** @returns the details, as given */
    add(details) {
      const { hits_total: hits, misses_total: misses } = details.lookups
      if (first === undefined || hits < first.hits || misses < first.misses) first = { hits, misses }
      const lookups = hits - first.hits + misses - first.misses
      figures.recentHitRate = lookups > 0 ? (hits - first.hits) / lookups : null
      return details
    },
  }
  return figures
}

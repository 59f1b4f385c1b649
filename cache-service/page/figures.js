/** A sample for the charts: see charts.js. */
export function trafficSample({ api, workers, workersError }, nowMs) {
  const running = workers?.filter(({ isGone }) => !isGone) ?? []
  if (api.kind === 'unreachable' || workersError !== undefined || running.length === 0)
    return { atMs: nowMs, records: null, lag: null, deadLetters: null }
  const sum = (values) => values.reduce((total, value) => total + value, 0)
  const lags = running.map((worker) => worker.lag_records).filter((lag) => lag !== null)
  return {
    atMs: nowMs,
    records: sum(running.map(({ rates }) => rates.records)),
    lag: lags.length === 0 ? null : sum(lags),
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

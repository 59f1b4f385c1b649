import { sum } from './sum.js'

/** What the reports of several workers say together. @param workers as health.js keeps them */

/** Without those that no longer report. */
export function runningOf(workers) {
  return workers.filter(({ isGone }) => !isGone)
}

/** Records behind, of all workers that have measured their lag; null: none has. */
export function lagOf(workers) {
  const lags = workers.map(({ lag_records: lag }) => lag).filter((lag) => lag !== null)
  return lags.length === 0 ? null : sum(lags)
}

/** Partitions whose records do not reach Redis, each once: every worker of a group reports those without an owner. */
export function unreadPartitions(workers) {
  const byInput = new Map()
  for (const worker of workers) {
    for (const unread of worker.unread ?? []) {
      const key = `${inputOf(worker)} ${unread.partition}`
      if (!byInput.has(key)) byInput.set(key, { ...unread, input: inputOf(worker) })
    }
  }
  return [...byInput.values()]
}

/** Workers of several topics or groups may fill the same Redis. */
export function inputOf({ group, topic }) {
  return `${topic ?? '?'}, group ${group ?? '?'}`
}

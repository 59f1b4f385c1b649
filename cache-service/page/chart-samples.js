import { sum } from './sum.js'

export const KEPT_MS = 15 * 60_000
const LIVE_INTERVAL_MS = 5_000
/** A worker whose clock differs by more than this is trusted about its intervals only. */
const CREDIBLE_AGE_MS = 60_000

/**
 * The last minutes of all workers together, as samples `{ atMs, records, lag, deadLetters }`, oldest first: records per
 * second, records behind, dead letters per minute. null: unknown.
 *
 * @param workers reports; those of older releases have no history
 */
export function historySamples(workers, nowMs) {
  const histories = workers.flatMap((worker) => readHistory(worker.history) ?? [])
  if (histories.length === 0) return []
  const intervalMs = Math.max(...histories.map((history) => history.intervalMs))
  const slots = new Map()
  for (const history of histories) {
    for (const [slot, points] of inSlots(history, intervalMs, nowMs)) {
      slots.set(slot, [...(slots.get(slot) ?? []), points])
    }
  }
  return [...slots]
    .filter(([slot]) => slot * intervalMs < KEPT_MS)
    .toSorted(([a], [b]) => b - a)
    .map(([slot, ofWorkers]) => {
      const lags = ofWorkers.map(({ lag }) => lag).filter((lag) => lag !== null)
      return {
        atMs: nowMs - slot * intervalMs,
        records: sum(ofWorkers.map(({ records }) => records)),
        lag: lags.length === 0 ? null : sum(lags),
        deadLetters: sum(ofWorkers.map(({ deadLetters }) => deadLetters)),
      }
    })
}

/** The samples with those of `history` where none was taken: before the page was opened, or while it was asleep. */
export function fillGaps(samples, history) {
  const known = samples.filter(({ records }) => records !== null)
  const isGap = ({ atMs }) => known.every((sample) => Math.abs(sample.atMs - atMs) > 2 * LIVE_INTERVAL_MS)
  const added = history.filter(isGap)
  if (added.length === 0) return samples
  const covered = (atMs) => added.some((sample) => Math.abs(sample.atMs - atMs) <= 2 * LIVE_INTERVAL_MS)
  const kept = samples.filter(({ atMs, records }) => records !== null || !covered(atMs))
  return [...kept, ...added].toSorted((a, b) => a.atMs - b.atMs)
}

function readHistory(history) {
  const {
    interval_ms: intervalMs,
    at,
    consumed_per_second: records,
    lag,
    dead_letters: deadLetters,
  } = history ?? {}
  if (!(intervalMs > 0) || !Array.isArray(records)) return undefined
  return { intervalMs, at: Date.parse(at), records, lag: lag ?? [], deadLetters: deadLetters ?? [] }
}

/** The points of a worker by slot: slot 0 is the newest interval, slot 1 the one before. */
function inSlots({ intervalMs, at, records, lag, deadLetters }, slotMs, nowMs) {
  const ageMs = nowMs - at
  const newestAgeMs = ageMs >= 0 && ageMs <= CREDIBLE_AGE_MS ? ageMs : 0
  const slots = new Map()
  for (const [i, perSecond] of records.entries()) {
    const slot = Math.floor((newestAgeMs + (records.length - 1 - i) * intervalMs) / slotMs)
    slots.set(slot, [
      ...(slots.get(slot) ?? []),
      { perSecond, lag: lag[i] ?? null, count: deadLetters[i] ?? 0 },
    ])
  }
  return [...slots].map(([slot, points]) => [
    slot,
    {
      records: sum(points.map(({ perSecond }) => perSecond)) / points.length,
      lag: points.at(-1).lag,
      deadLetters: (sum(points.map(({ count }) => count)) * 60_000) / (intervalMs * points.length),
    },
  ])
}

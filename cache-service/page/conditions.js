import { count } from './time.js'
import { runningOf, unreadPartitions } from './workers.js'

/** A reconnection usually takes less than this, and is not worth a warning. */
const LIVE_LOST_AFTER_MS = 5_000

/**
 * What is wrong with the platform, most severe first: `{ key, text, details, view }`. `view` shows more about it.
 *
 * @param health `{ api, redis, workers, live }` as health.js keeps it
 */
export function conditionsOf({ api, live, redis, workers }) {
  if (api?.kind === 'unreachable')
    return [
      condition('api', 'The API does not respond.', [
        'The page reconnects by itself. It shows what it knew last.',
      ]),
    ]
  if (api?.kind === 'forbidden')
    return [
      condition('token', 'The token does not allow reading.', [
        'Choose “Forget token” to enter another one.',
      ]),
    ]
  const conditions = []
  if (redis === 'disconnected')
    conditions.push(
      condition(
        'redis',
        'Redis does not respond.',
        [...(api?.reasons ?? []), 'The page shows what it knew last.'],
        'redis',
      ),
    )
  else if (api?.kind === 'not_ready')
    conditions.push(condition('not_ready', 'The API is not ready.', api.reasons))
  if (workers !== undefined && redis !== 'disconnected') conditions.push(...workerConditions(workers))
  if (live?.kind === 'lost' && live.forMs > LIVE_LOST_AFTER_MS)
    conditions.push(
      condition('live', 'Live changes are interrupted.', ['The page reconnects by itself.'], 'changes'),
    )
  return conditions
}

function workerConditions(workers) {
  const running = runningOf(workers)
  if (running.length === 0)
    return [condition('no_worker', 'No worker reports.', ['Nothing is updating the cache.'], 'workers')]
  const notReady = running.filter(({ ready }) => !ready)
  const reasons = [...new Set(notReady.flatMap((worker) => worker.reasons))]
  const unread = unreadPartitions(running).length
  const conditions = []
  if (unread > 0)
    conditions.push(
      condition(
        'unread',
        `${count(unread, 'partition')} ${unread === 1 ? 'is' : 'are'} not being read.`,
        [],
        'workers',
      ),
    )
  if (notReady.length > 0)
    conditions.push(
      condition(
        'not_ready_worker',
        `${notReady.length} of ${count(running.length, 'worker')} ${notReady.length === 1 ? 'is' : 'are'} not ready.`,
        reasons.slice(0, 3),
        'workers',
      ),
    )
  if (running.some(({ rebuilding }) => rebuilding))
    conditions.push(
      condition(
        'rebuild',
        'The cache is being rebuilt.',
        ['Devices may be missing until it is complete.'],
        'workers',
      ),
    )
  return conditions
}

function condition(key, text, details = [], view = undefined) {
  return { key, text, details, view }
}

/** Remembers since when each condition has held, as this page saw it. */
export function createConditionLog() {
  const since = new Map()
  return {
    /** @param sinceMs when a condition that is new to the log began */
    update(conditions, sinceMs) {
      const keys = new Set(conditions.map(({ key }) => key))
      // Without an answer of the API the others are unknown, not over.
      if (!keys.has('api')) for (const key of since.keys()) if (!keys.has(key)) since.delete(key)
      for (const key of keys) if (!since.has(key)) since.set(key, sinceMs)
      return conditions.map((one) => ({ ...one, sinceMs: since.get(one.key) }))
    },
  }
}

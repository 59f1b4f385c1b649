import { conditionsOf, createConditionLog } from './conditions.js'
import { createSource } from './source.js'

/** Workers that no longer report are shown for this long. */
const REMEMBERED_MS = 15 * 60_000

/**
 * The health of the platform as this page sees it.
 *
 * @param api see api.js
 */
export function createHealth(api, { now, changed }) {
  const log = createConditionLog()
  const openedMs = now()
  let lastGoodMs = openedMs
  let lostMs
  let workers = []
  const reports = createSource(readWorkers, { now, changed })
  const health = {
    /** `{ kind: 'ready' | 'not_ready' | 'forbidden' | 'unreachable', reasons }`; undefined: not known yet. */
    api: undefined,
    /** 'connected' or 'disconnected'; undefined: unknown. */
    redis: undefined,
    /** A source whose data is the latest report of each worker, with `isGone` if it no longer reports. */
    reports,
    live: undefined,
    conditions: [],
    openedMs,
    /** Whether the API cannot say anything newer than what is shown. */
    get isStale() {
      return health.api?.kind === 'unreachable' || health.redis === 'disconnected'
    },
  }

  function update() {
    const live = health.live === 'lost' ? { kind: 'lost', forMs: now() - lostMs } : undefined
    const found = conditionsOf({ ...health, workers: reports.data, live })
    // An outage began at some time after the last good answer.
    health.conditions = log.update(found, found[0]?.key === 'api' ? lastGoodMs : now())
  }

  return {
    health,
    async poll() {
      const [ready, redis] = await Promise.allSettled([
        api.ask('readyz', { accepted: [503] }),
        api.ask('health', { accepted: [503] }),
      ])
      health.api = apiState(ready, reports.error)
      if (health.api.kind !== 'unreachable') lastGoodMs = now()
      health.redis = redis.value?.redis ?? (health.api.kind === 'unreachable' ? undefined : health.redis)
      update()
      if (health.api.kind === 'unreachable') return
      await reports.load()
      health.api = apiState(ready, reports.error)
      update()
    },
    liveChanged(state) {
      if (state === 'lost' && health.live !== 'lost') lostMs = now()
      health.live = state
      update()
    },
  }

  async function readWorkers() {
    const found = await api.ask('api/workers')
    workers = withThoseGone(found.workers)
    return workers
  }

  function withThoseGone(running) {
    const ids = new Set(running.map(({ id }) => id))
    const gone = workers
      .filter(({ id, seenMs }) => !ids.has(id) && now() - seenMs < REMEMBERED_MS)
      .map((worker) => ({ ...worker, isGone: true }))
    return [...running.map((worker) => ({ ...worker, seenMs: now(), isGone: false })), ...gone]
  }
}

function apiState(ready, workersError) {
  if (ready.status === 'rejected') return { kind: 'unreachable', reasons: [ready.reason.message] }
  const { ready: isReady, reasons = [] } = ready.value ?? {}
  if (isReady === undefined)
    return { kind: 'unreachable', reasons: ['The answer does not come from the API.'] }
  if (workersError?.status === 403) return { kind: 'forbidden', reasons: [workersError.message] }
  return { kind: isReady ? 'ready' : 'not_ready', reasons }
}

import { ANNOUNCE_INTERVAL_MS, LISTENING_TTL_MS } from '../../core/events/listening.ts'
import type { Device } from '../../../shared/contract/api-schemas.ts'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { redisError, ServiceError } from '../../../shared/errors.ts'
import type { WatchEvent } from '../../../shared/client/types.ts'
import { clientEventOf, type ClientEvent } from '../../core/events/client-event.ts'
import { createEventFilter } from '../../core/events/event-filter.ts'
import type { DeviceQuery, FoundDevices } from '../../core/devices/device-query.ts'
import type { DeviceReadingPage, PagePosition } from '../../core/devices/device-view.ts'
import { FIRST_PAGE } from '../../core/devices/page-cursor.ts'
import { createLoop, LoopMonitor } from '../../lifecycle/loops.ts'
import { runServices } from '../../lifecycle/service.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { createDeviceIndex } from '../../redis/devices/device-index.ts'
import { createDeviceReader } from '../../redis/devices/device-reader.ts'
import { createDeviceScan } from '../../redis/devices/device-scan.ts'
import { createDeviceSearcher } from '../../redis/devices/device-searcher.ts'
import { EventFollower, followerBlockMs } from '../../redis/events/event-follower.ts'
import { announceListening } from '../../redis/events/event-streams.ts'
import { createStateStore } from '../../redis/events/state-store.ts'
import { createServerStatsReader } from '../../redis/server-stats.ts'
import { createLagReports } from '../../redis/workers/lag-reports.ts'
import { createRebuildWatch } from '../../redis/workers/rebuild-watch.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import { deviceOf, type DeviceSource, type SourcePage, type WatchFilter } from './device-source.ts'
import { EventQueue } from './event-queue.ts'
import { createOutage } from './outage.ts'
import type { Session } from '../session.ts'
import { watchEventOf } from './watch-event.ts'

const POSITION_POLL_MS = 20
/** A user who may only read, or a replica. */
const NOT_WRITABLE = ['NOPERM', 'READONLY']

/** Reads the cache from Redis itself. */
export async function openRedisSource(session: Session): Promise<DeviceSource> {
  const redis = await session.redis()
  const reader = createDeviceReader(redis)
  const { groupId: group, validatedDataTopic: topic } = session.config.kafka
  const reports = createWorkerReports(redis)
  const rebuilds = createRebuildWatch(redis, reports, { group, topic }, session.context.monotonicNow)

  return {
    async *pages(idPrefix, size) {
      for (let position: PagePosition | undefined = FIRST_PAGE; position !== undefined;) {
        const page = await reader.page(position, size, idPrefix)
        yield pageOf(page.devices)
        position = page.next
      }
    },

    async *search(query, size) {
      const found = await findDevices(session, query)
      for (let offset = 0; offset === 0 || offset < found.total; offset += size) {
        const { isTruncated, total } = found
        yield { ...pageOf(await found.read(offset, size)), total, isTruncated }
      }
    },

    async lookup(ids) {
      const valid = [...new Set(ids)].filter(isDeviceId)
      const readings = await reader.readMany(valid)
      const { found, corrupt, unavailable } = sortReadings(
        valid.map((deviceId, i) => ({ deviceId, reading: readings[i] })),
      )
      const missing = valid.filter((id) => !found.has(id) && !corrupt.has(id) && !unavailable.has(id))
      if (missing.length === 0) return { found, corrupt, unavailable, isComplete: true }
      try {
        return { found, corrupt, unavailable, isComplete: !(await rebuilds.isRebuilding()) }
      } catch (error) {
        if (!(error instanceof ServiceError) || error.master === undefined) throw error
        for (const id of missing) unavailable.set(id, error.message)
        return { found, corrupt, unavailable, isComplete: false }
      }
    },

    remove: async (id) => isDeviceId(id) && (await reader.remove(id)),
    async state(type) {
      return (await createStateStore(redis, session.config.api.stateTypes).read(type)).values
    },
    countDevices: () => createDeviceIndex(redis).count(),
    stats: () => createServerStatsReader(redis).read(),
    workers: () => reports.read(),
    lagReports: () => createLagReports(redis).read(),
    watch: (filter) => watchStreams(session, filter),
  }
}

function pageOf(readings: DeviceReadingPage['devices']): SourcePage {
  const { found, corrupt, unavailable } = sortReadings(readings)
  return { devices: [...found.values()], corrupt, unavailable }
}

type Reading = DeviceReadingPage['devices'][number]

function sortReadings(
  readings: readonly (Pick<Reading, 'deviceId'> & { readonly reading: Reading['reading'] | undefined })[],
) {
  const found = new Map<string, Device>()
  const corrupt = new Map<string, string>()
  const unavailable = new Map<string, string>()
  for (const { deviceId, reading } of readings) {
    if (reading?.kind === 'found') found.set(deviceId, deviceOf(reading.json))
    if (reading?.kind === 'corrupt') corrupt.set(deviceId, reading.reason)
    if (reading?.kind === 'unavailable') unavailable.set(deviceId, reading.error.message)
  }
  return { found, corrupt, unavailable }
}

/** Searches as the API does, with the same maximum of devices. */
async function findDevices(session: Session, query: DeviceQuery): Promise<FoundDevices> {
  const redis = await session.redis()
  const { monotonicNow, now } = session.context
  const progress = session.progress('devices read', await createDeviceIndex(redis).count())
  const searcher = createDeviceSearcher({
    scan: createDeviceScan(redis),
    reader: createDeviceReader(redis),
    maxDevices: session.config.api.searchMaxDevices,
    scanned: (result, devices, seconds) =>
      session.log.debug({ result, devices, seconds }, 'devices scanned for a search'),
    progress: (devices) => progress.set(devices),
    now,
    monotonicNow,
  })
  try {
    return await searcher.find(query, undefined, session.stop)
  } finally {
    progress.end()
  }
}

/**
 * Follows the event streams as the API does: with a blocking read that resumes at its position after an outage.
 * Announces that it listens, because workers append device hints only while a process does.
 */
async function* watchStreams(
  session: Session,
  { streams, deviceIds, updateTypes, onStart }: WatchFilter,
): AsyncGenerator<WatchEvent> {
  const redis = await session.redis()
  const { stop } = session
  const { monotonicNow, random } = session.context
  const monitor = new LoopMonitor(monotonicNow)
  const queue = new EventQueue()
  const filter = createEventFilter(streams, deviceIds, updateTypes)
  const blockingRedis = await session.redis('events')
  const outage = createOutage(session, 'Redis')
  let refusal: ServiceError | undefined
  let hasWarned = false
  blockingRedis.on('ready', () => outage.ended())
  const follower = new EventFollower({
    redis: blockingRedis,
    blockMs: followerBlockMs(session.config.redis.timeoutMs),
    failed(error) {
      if (follower.position === undefined && error.failureClass === 'operator') refusal = error
      else outage.failed(error)
    },
    monitor,
    random,
  })
  const push = (event: ClientEvent | undefined) => {
    const watchEvent = event && follower.position && watchEventOf(event, follower.position)
    if (watchEvent !== undefined) queue.push(watchEvent)
  }
  follower.follow({
    events(events) {
      for (const event of events) push(clientEventOf(event, filter))
    },
    reset(lost) {
      const affected = lost.filter((stream) => filter.streams.has(stream))
      if (affected.length > 0) push({ kind: 'reset', streams: affected, reason: 'missed' })
    },
  })
  const announcer = createLoop({
    name: 'announcer',
    everyMs: ANNOUNCE_INTERVAL_MS,
    monitor,
    turn: () => announceListening(redis, LISTENING_TTL_MS),
    failed(error) {
      const { code, message } = redisError(error)
      session.log.debug(`could not announce to the workers that we listen: ${message}`)
      if (hasWarned || !NOT_WRITABLE.includes(code) || !filter.streams.has('device')) return
      hasWarned = true
      session.warn(
        `device changes may be missing: workers report them only while a process announces that it listens, which Redis refuses (${message}). ` +
          'Allow the user to SET cache_service:listening, connect to the primary, or use --api',
      )
    },
  })
  const closed = new AbortController()
  const running = runServices([follower, announcer], AbortSignal.any([stop, closed.signal])).then(
    () => queue.end(),
    (error: unknown) => queue.end({ error }),
  )
  try {
    while (follower.position === undefined && !stop.aborted) {
      if (refusal !== undefined) throw refusal
      await sleep(POSITION_POLL_MS, stop)
    }
    if (!stop.aborted) onStart()
    yield* queue
  } finally {
    closed.abort()
    await running
  }
}

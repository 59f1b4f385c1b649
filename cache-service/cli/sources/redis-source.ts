import { createParser } from 'eventsource-parser'
import type { Device } from '../../../shared/contract/api-schemas.ts'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { redisError } from '../../../shared/errors.ts'
import { parseWatchEvent, type WatchEvent } from '../../../shared/client/event-stream.ts'
import { createEventFilter, eventFrame, resetFrame } from '../../core/events/event-frames.ts'
import type { PagePosition } from '../../core/devices/device-view.ts'
import { FIRST_PAGE } from '../../core/devices/page-cursor.ts'
import { createLoop, LoopMonitor } from '../../lifecycle/loops.ts'
import { runServices } from '../../lifecycle/service.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { createDeviceIndex } from '../../redis/devices/device-index.ts'
import { createDeviceReader } from '../../redis/devices/device-reader.ts'
import { EventFollower } from '../../redis/events/event-follower.ts'
import { announceListening } from '../../redis/events/event-streams.ts'
import { createServerStatsReader } from '../../redis/server-stats.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import { deviceOf, type DeviceSource, type WatchFilter } from './device-source.ts'
import { EventQueue } from './event-queue.ts'
import { createOutage } from './outage.ts'
import type { Session } from '../session.ts'

const LISTENING_TTL_MS = 15_000
const ANNOUNCE_EVERY_MS = 5_000
const LONGEST_BLOCK_MS = 5_000
const LOOK_EVERY_MS = 20

/** The cache as it is in Redis. */
export async function openRedisSource(session: Session): Promise<DeviceSource> {
  const redis = await session.redis()
  const reader = createDeviceReader(redis)
  const reports = createWorkerReports(redis, session.context.now)

  return {
    async *pages(idPrefix, size) {
      for (let position: PagePosition | undefined = FIRST_PAGE; position !== undefined;) {
        const page = await reader.page(position, size, idPrefix)
        const devices: Device[] = []
        const damaged = new Map<string, string>()
        for (const { deviceId, reading } of page.devices) {
          if (reading.kind === 'found') devices.push(deviceOf(reading.json))
          if (reading.kind === 'corrupt') damaged.set(deviceId, reading.reason)
        }
        yield { devices, damaged }
        position = page.next
      }
    },

    async lookup(ids) {
      const valid = [...new Set(ids)].filter(isDeviceId)
      const readings = await reader.readMany(valid)
      const found = new Map<string, Device>()
      const damaged = new Map<string, string>()
      for (const [i, id] of valid.entries()) {
        const reading = readings[i]
        if (reading?.kind === 'found') found.set(id, deviceOf(reading.json))
        if (reading?.kind === 'corrupt') damaged.set(id, reading.reason)
      }
      const isMissingSome = found.size + damaged.size < valid.length
      return { found, damaged, isComplete: !isMissingSome || !(await reports.isRebuilding()) }
    },

    countDevices: () => createDeviceIndex(redis).count(),
    stats: () => createServerStatsReader(redis).read(),
    workers: () => reports.read(),
    watch: (filter) => watchStreams(session, filter),
  }
}

async function streamsFound(follower: EventFollower, stop: AbortSignal): Promise<void> {
  while (follower.position === undefined && !stop.aborted) await sleep(LOOK_EVERY_MS, stop)
}

/** As an api does it: one blocked read, which finds its place again; and workers are told that somebody listens. */
async function* watchStreams(
  session: Session,
  { streams, deviceIds, updateTypes, onStart }: WatchFilter,
): AsyncGenerator<WatchEvent> {
  const redis = await session.redis()
  const { stop } = session
  const { now, random } = session.context
  const monitor = new LoopMonitor(now)
  const queue = new EventQueue()
  const filter = createEventFilter(streams, deviceIds, updateTypes)
  const parser = createParser({
    onEvent(message) {
      const event = parseWatchEvent(message, message.id ?? '')
      if (event !== undefined) queue.push(event)
    },
  })
  const blocked = await session.redis('events')
  const outage = createOutage(session, 'Redis')
  blocked.on('ready', () => outage.hasEnded())
  const follower = new EventFollower({
    redis: blocked,
    blockMs: Math.min(LONGEST_BLOCK_MS, session.config.redis.timeoutMs / 2),
    failed: (error) => outage.failed(error),
    monitor,
    random,
  })
  follower.follow({
    events(events) {
      for (const event of events) {
        const frame = follower.position && eventFrame(event, follower.position, filter)
        if (frame !== undefined) parser.feed(frame)
      }
    },
    reset(lost) {
      const affected = lost.filter((stream) => filter.streams.has(stream))
      if (follower.position && affected.length > 0) {
        parser.feed(resetFrame(affected, 'missed', follower.position))
      }
    },
  })
  const announcer = createLoop({
    name: 'announcer',
    everyMs: ANNOUNCE_EVERY_MS,
    monitor,
    turn: () => announceListening(redis, LISTENING_TTL_MS),
    failed: (error) => session.log.debug(`workers may not know that we listen: ${redisError(error).message}`),
  })
  const hasStopped = new AbortController()
  const running = runServices([follower, announcer], AbortSignal.any([stop, hasStopped.signal])).then(
    () => queue.end(),
    (error: unknown) => queue.end({ error }),
  )
  try {
    await streamsFound(follower, stop)
    if (!stop.aborted) onStart()
    yield* queue
  } finally {
    hasStopped.abort()
    await running
  }
}

import { DeviceCache } from '../core/devices/device-cache.ts'
import type { DeviceReader } from '../core/devices/device-view.ts'
import { LISTENING_TTL_MS } from '../core/events/listening.ts'
import type { ApiConfig } from '../config/config.ts'
import { fixedKeys } from '../core/fixed-keys.ts'
import { isProtectedKey } from '../core/protected-keys.ts'
import { createAccess } from '../http/hooks/access.ts'
import { createApiServer } from '../http/api-server.ts'
import type { ApiServer } from '../http/api-server-types.ts'
import { listen } from '../http/listen.ts'
import { createReadingQueue, MAX_DEVICES_IN_PROGRESS } from '../http/reading-queue.ts'
import { registerAccessRoutes } from '../http/routes/access.ts'
import { registerDeviceRoutes } from '../http/routes/devices.ts'
import { EVENT_HUB_LIMITS } from '../http/routes/event-hub.ts'
import { registerSearchRoutes } from '../http/routes/device-search.ts'
import { registerEventRoutes } from '../http/routes/events.ts'
import { registerLagRoutes } from '../http/routes/lag.ts'
import { registerPageRoutes } from '../http/routes/page.ts'
import { registerRedisRoutes } from '../http/routes/redis.ts'
import { registerCacheQueueRoutes } from '../http/cache-queue/routes.ts'
import { registerStateRoutes } from '../http/routes/state.ts'
import { openTokenFile } from '../http/token-file.ts'
import { registerWorkerRoutes } from '../http/routes/workers.ts'
import type { Service } from '../lifecycle/service.ts'
import { createCacheValues } from '../redis/cache-queue/cache-values.ts'
import { createCachedReader } from '../redis/devices/cached-reader.ts'
import { ReadTracking } from '../redis/devices/read-tracking.ts'
import {
  createConnection,
  createRedis,
  databaseName,
  startConnecting,
  type CreateClient,
} from '../redis/client.ts'
import { isCluster, type RedisClient } from '../redis/redis-client.ts'
import { createDeviceReader } from '../redis/devices/device-reader.ts'
import { createDeviceScan } from '../redis/devices/device-scan.ts'
import { createDeviceSearcher } from '../redis/devices/device-searcher.ts'
import { EventFollower, followerBlockMs } from '../redis/events/event-follower.ts'
import { announceListening, createEventStreams } from '../redis/events/event-streams.ts'
import { createPubsubAdmin } from '../redis/cache-queue/pubsub-admin.ts'
import { createReadProbe } from '../redis/probe.ts'
import { ServerCheck } from '../redis/server-check.ts'
import { createServerStatsReader } from '../redis/server-stats.ts'
import { createStateStore } from '../redis/events/state-store.ts'
import { createLagReports } from '../redis/workers/lag-reports.ts'
import { createRebuildWatch } from '../redis/workers/rebuild-watch.ts'
import { createWorkerReports } from '../redis/workers/worker-reports.ts'
import { createApiTelemetry, type ApiTelemetry } from '../telemetry/api-telemetry.ts'
import { telemetryOfConnection } from './connection-telemetry.ts'
import { awaitFirstConnection } from './first-connection.ts'
import type { OpenedRole, ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'

type Redis = ReturnType<typeof createConnection>

const PROBE_INTERVAL_MS = 1_000
const MIN_OTHER_CONNECTIONS = 256
/** A change is noticed by the second reading that finds it. */
const TOKENS_INTERVAL_MS = 500

/** Redis → HTTP, as a part of a process. */
export async function openApi(context: RoleContext, parts: ProcessParts): Promise<OpenedRole> {
  const { config, log } = context
  const { metrics, monitor, monotonicNow, now, random, releases } = parts
  const telemetry = createApiTelemetry(log, metrics, monotonicNow)
  releases.push('api', () => telemetry.stopped())
  const { auth, tokensFile = '' } = config.api
  const tokens = auth === 'token' ? await openTokenFile(tokensFile, telemetry) : undefined

  const connect = <Client extends RedisClient>(create: CreateClient<Client>, connection: string) => {
    const redisTelemetry = telemetryOfConnection(telemetry, connection)
    const redis = create(config.redis, `${context.processId}-${connection}`, redisTelemetry, random)
    releases.push(`Redis for ${connection}`, () => redis.disconnect())
    return redis
  }
  // Separate connections, so that a slow command on one of them (a scan, a blocking read) does not delay the others.
  const reading = connect(createRedis, 'api')
  const cacheRedis = connect(createRedis, 'cache')
  const following = connect(createRedis, 'events')
  const searching = connect(createRedis, 'search')
  const connectOnce = (connection: string) => connect(createConnection, connection)
  const lookups = openLookups(context, parts, reading, connectOnce, telemetry)
  const connecting = Promise.all(
    [reading, cacheRedis, following, searching, ...lookups.connections].map(startConnecting),
  )

  const probe = createReadProbe(
    reading,
    {
      redisWorks: () => telemetry.redisWorks('api'),
      redisFailed: (error) => telemetry.redisFailed('api', error),
    },
    monotonicNow,
  )
  const serverCheck = new ServerCheck(reading, fixedKeys.api(), {
    keyMistyped: telemetry.keyMistyped,
    keyTypeRestored: telemetry.keyTypeRestored,
    redisFailed: (error) => telemetry.redisFailed('api', error),
  })
  const follower = new EventFollower({
    redis: following,
    blockMs: followerBlockMs(config.redis.timeoutMs),
    failed: (error) => telemetry.redisFailed('events', error),
    monitor,
    random,
  })
  const checks: ReadinessCheck[] = [
    () => (context.stop.aborted ? ['stopping'] : []),
    () => probe.notReadyReasons(),
    () => serverCheck.notReadyReasons(),
    () => follower.notReadyReasons(),
    () => tokens?.notReadyReasons() ?? [],
  ]
  const server = await createApiServer({
    version: context.version,
    // The framework's own info and debug lines are of no use to operators.
    log: log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level }),
    access: createAccess(config.api, tokens, now),
    limits: {
      maxConcurrentRequests: config.api.maxConcurrentRequests,
      maxConnections: maxConnections(config.api),
      requestsPerMinute: config.api.rateLimitPerMinute,
    },
    trustedProxies: config.api.trustedProxies,
    basePath: config.api.basePath,
    corsOrigins: config.api.corsOrigins,
    monitor,
    checks,
    telemetry,
    monotonicNow,
  })
  const filledFrom = { group: config.kafka.groupId, topic: config.kafka.validatedDataTopic }
  registerRoutes(server, {
    api: config.api,
    filledFrom,
    devices: lookups.devices,
    reading,
    cacheRedis,
    searching,
    follower,
    telemetry,
    now,
    monotonicNow,
  })
  releases.push('api server', () => server.close())

  await awaitFirstConnection(connecting)
  telemetry.started({
    version: context.version,
    url: await listen(server, 'API_HOST:PORT', config.api),
    auth: auth ?? 'off',
    redis: databaseName(config.redis),
  })
  const services: Service[] = [
    probe.service(PROBE_INTERVAL_MS, monitor),
    serverCheck.service(monitor),
    follower,
    ...lookups.services,
  ]
  if (tokens !== undefined) services.push(tokens.service(TOKENS_INTERVAL_MS, monitor))
  return { services, checks }
}

/** How single devices and lists of ids are read: from memory where Redis reports what changes, else from Redis. */
function openLookups(
  { config, processId }: RoleContext,
  { monitor, monotonicNow }: ProcessParts,
  writing: RedisClient,
  connect: (connection: string) => Redis,
  telemetry: ApiTelemetry,
) {
  const maxSize = config.api.lookupCacheBytes
  // In a Cluster, each master would have to be asked to report changes.
  if (maxSize === 0 || isCluster(writing))
    return { devices: createDeviceReader(writing), connections: [], services: [] }
  const reading = connect('lookups')
  const invalidations = connect('invalidations')
  const cache = new DeviceCache(maxSize)
  const tracking = new ReadTracking({
    reading,
    invalidations,
    writing,
    cache,
    processId,
    telemetry,
    monitor,
    monotonicNow,
  })
  const devices = createCachedReader({
    reader: createDeviceReader(writing),
    trackedReader: createDeviceReader(reading),
    cache,
    isTracking: () => tracking.isOn,
    telemetry,
    monotonicNow,
  })
  return { devices, connections: [reading, invalidations], services: [tracking.service()] }
}

/** Room for all event clients and all concurrent requests, and several times that for idle connections of pools. */
function maxConnections({ maxConcurrentRequests, maxEventClients }: ApiConfig): number {
  return maxEventClients + Math.max(4 * maxConcurrentRequests, MIN_OTHER_CONNECTIONS)
}

type RouteParts = {
  readonly api: ApiConfig
  /** Whose progress shows whether the cache is complete, also while no worker lives. */
  readonly filledFrom: { readonly group: string; readonly topic: string }
  readonly devices: DeviceReader
  readonly reading: RedisClient
  readonly cacheRedis: RedisClient
  readonly searching: RedisClient
  readonly follower: EventFollower
  readonly telemetry: ApiTelemetry
  readonly now: () => number
  readonly monotonicNow: () => number
}

function registerRoutes(
  server: ApiServer,
  {
    api,
    cacheRedis,
    devices,
    filledFrom,
    follower,
    monotonicNow,
    now,
    reading,
    searching,
    telemetry,
  }: RouteParts,
): void {
  const reports = createWorkerReports(reading)
  const rebuilds = createRebuildWatch(reading, reports, filledFrom, monotonicNow)
  const state = createStateStore(reading, api.stateTypes)
  const streams = createEventStreams(reading)
  const isProtected = (key: string) => isProtectedKey(key, api.protectedPrefixes)
  const queue = createReadingQueue(MAX_DEVICES_IN_PROGRESS)
  registerDeviceRoutes(server, {
    queue,
    devices,
    isRebuilding: () => rebuilds.isRebuilding(),
    telemetry,
  })
  registerSearchRoutes(server, {
    queue,
    monotonicNow,
    searcher: createDeviceSearcher({
      scan: createDeviceScan(searching),
      reader: createDeviceReader(searching),
      maxDevices: api.searchMaxDevices,
      scanned: telemetry.devicesScanned,
      now,
      monotonicNow,
    }),
  })
  registerStateRoutes(server, { readState: (type) => state.read(type) })
  registerEventRoutes(
    server,
    {
      position: () => follower.position,
      follow: (listener) => follower.follow(listener),
      read: streams.read,
      announceListening: () => announceListening(reading, LISTENING_TTL_MS),
      monotonicNow,
      telemetry,
    },
    { ...EVENT_HUB_LIMITS, maxClients: api.maxEventClients },
  )
  registerWorkerRoutes(server, { readReports: () => reports.read() })
  const lagReports = createLagReports(reading)
  registerLagRoutes(server, { readLagReports: () => lagReports.read() })
  const stats = createServerStatsReader(cacheRedis)
  registerRedisRoutes(server, { readServerDetails: () => stats.readDetails() })
  registerAccessRoutes(server)
  registerCacheQueueRoutes(server, {
    cache: createCacheValues(cacheRedis, isProtected),
    pubsub: createPubsubAdmin(cacheRedis),
    stats,
    telemetry,
    isProtectedKey: isProtected,
    settings: { port: api.port, defaultTtlS: api.cacheDefaultTtlS, defaultChannel: api.queueChannel },
  })
  registerPageRoutes(server)
}

import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { ServiceError } from '../../shared/errors.ts'
import { UPDATER_LEASE_KEY } from '../../shared/keys.ts'
import { isProtectedKey } from '../core/protected-keys.ts'
import { openHealthServer } from '../http/health-server.ts'
import { LoopMonitor } from '../lifecycle/loops.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'
import { ReleaseStack } from '../lifecycle/release-stack.ts'
import { runServices, type Service } from '../lifecycle/service.ts'
import { settledWithin } from '../lifecycle/sleep.ts'
import { UpdateApplier, UPDATER_LEASE_MS } from '../pipeline/update-applier.ts'
import { ChannelSubscription } from '../redis/channels.ts'
import { createRedis, startConnecting } from '../redis/client.ts'
import { createLease } from '../redis/lease.ts'
import { createStateWriter } from '../redis/state-writer.ts'
import { createUpdaterEvents } from '../telemetry/updater-events.ts'
import { createUpdaterMetrics } from '../telemetry/updater-metrics.ts'
import type { RoleContext } from './role-context.ts'

const FIRST_CONNECT_MS = 1_000

/** What a process has once, whatever roles it plays. */
export type UpdaterSurroundings = {
  readonly registry: Registry
  readonly monitor: LoopMonitor
  /** What the updater has opened is released from here: what is received by then is applied first. */
  readonly releases: ReleaseStack
  readonly now: () => number
  readonly random: () => number
}

export type OpenedUpdater = {
  readonly services: readonly Service[]
  readonly checks: readonly ReadinessCheck[]
}

/** The update channel → values in Redis and entries of the stream, as parts of a process. */
export async function openKvUpdater(
  context: RoleContext,
  surroundings: UpdaterSurroundings,
): Promise<OpenedUpdater> {
  const { config, log, processId } = context
  const { monitor, now, random, registry, releases } = surroundings
  const { channel, validate } = config.updater
  const events = createUpdaterEvents(log, createUpdaterMetrics(registry), now)
  releases.push('kv-updater', () => events.stopped())

  const connect = (connection: string) => {
    const redisEvents = {
      redisConnected: (where: string) => events.redisConnected(connection, where),
      redisFailed: (error: ServiceError) => events.redisFailed(connection, error),
    }
    return createRedis(config.redis, `${processId}-${connection}`, redisEvents, random)
  }
  const redis = connect('updates')
  releases.push('Redis of the kv-updater', () => redis.disconnect())
  const applier = new UpdateApplier({
    writer: createStateWriter(redis, processId, config.redis.timeoutMs),
    lease: createLease(redis, UPDATER_LEASE_KEY, processId, UPDATER_LEASE_MS),
    isSubscribed: () => subscription.isSubscribed,
    isProtected: (key) => isProtectedKey(key, config.api.protectedPrefixes),
    validate,
    events,
    monitor,
  })
  releases.push('updates in hand', () => applier.close())

  const subscriber = connect('subscriber')
  releases.push('subscriber of the kv-updater', () => subscriber.disconnect())
  const subscription = new ChannelSubscription({
    redis: subscriber,
    channel,
    received: (message) => applier.received(message),
    events: {
      subscribed(name, gapMs) {
        events.subscribed(name, gapMs)
        applier.subscribed()
      },
      subscriptionLost(name) {
        events.subscriptionLost(name)
        applier.subscriptionLost()
      },
      subscribeFailed: events.subscribeFailed,
    },
    monitor,
    now,
  })
  releases.push('subscription', () => subscription.close())

  events.started({
    version: context.version,
    channel,
    validate,
    redis: `${config.redis.host}:${config.redis.port}/${config.redis.db}`,
  })
  // So that a healthy start is quiet and quick.
  await settledWithin(Promise.all([startConnecting(redis), startConnecting(subscriber)]), FIRST_CONNECT_MS)
  return {
    services: [subscription.service(), applier.service()],
    checks: [() => subscription.notReadyReasons()],
  }
}

/** The role alone in a process, until told to stop. Rejects with an OperatorError or for a bug. */
export async function runKvUpdater(context: RoleContext): Promise<void> {
  const { config, stop } = context
  const now = () => Date.now()
  const monitor = new LoopMonitor(now)
  const releases = new ReleaseStack()
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'cache_service_build_info',
    help: 'Always 1.',
    labelNames: ['version', 'node_version', 'role'],
    registers: [registry],
  }).set({ version: context.version, node_version: context.nodeVersion, role: 'kv-updater' }, 1)
  try {
    const { services, checks } = await openKvUpdater(context, {
      registry,
      monitor,
      releases,
      now,
      random: () => Math.random(),
    })
    const { metricsHost, metricsPort } = config.process
    const health = await openHealthServer(metricsHost, metricsPort, {
      monitor,
      checks: [() => (stop.aborted ? ['stopping'] : []), ...checks],
      metrics: registry,
    })
    releases.push('health server', () => health.close())
    await runServices(services, stop)
  } finally {
    await releases.releaseAll()
  }
}

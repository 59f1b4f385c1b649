import { echoChannel, UPDATER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { fixedKeys } from '../core/fixed-keys.ts'
import { isProtectedKey } from '../core/protected-keys.ts'
import { UpdateApplier, UPDATER_LEASE_MS } from '../pipeline/update-applier.ts'
import { ChannelSubscription } from '../redis/events/channel-subscription.ts'
import {
  createConnection,
  createRedis,
  databaseName,
  startConnecting,
  type CreateClient,
} from '../redis/client.ts'
import { Echoes } from '../redis/cluster/echoes.ts'
import { knownNodes } from '../redis/cluster/slots.ts'
import { isCluster } from '../redis/redis-client.ts'
import { ServerCheck } from '../redis/server-check.ts'
import { createLease } from '../redis/lease.ts'
import { createStateWriter } from '../redis/events/state-writer.ts'
import { createUpdaterTelemetry } from '../telemetry/updater-telemetry.ts'
import { telemetryOfConnection } from './connection-telemetry.ts'
import { awaitFirstConnection } from './first-connection.ts'
import type { OpenedRole, ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'

/** The kv-updater as a part of a process: update channel → values in Redis and entries of the event stream. */
export async function openKvUpdater(context: RoleContext, parts: ProcessParts): Promise<OpenedRole> {
  const { config, log, processId } = context
  const { metrics, monitor, monotonicNow, random, releases } = parts
  const { channel, validate } = config.updater
  const telemetry = createUpdaterTelemetry(log, metrics, monotonicNow)
  releases.push('kv-updater', () => telemetry.stopped())

  const connect = <Client>(create: CreateClient<Client>, connection: string): Client => {
    const redisTelemetry = telemetryOfConnection(telemetry, connection)
    return create(config.redis, `${processId}-${connection}`, redisTelemetry, random)
  }
  const redis = connect(createRedis, 'updates')
  releases.push('Redis of the kv-updater', () => redis.disconnect())
  const serverCheck = new ServerCheck(redis, fixedKeys['kv-updater'](), {
    keyMistyped: telemetry.keyMistyped,
    keyTypeRestored: telemetry.keyTypeRestored,
    redisFailed: (error) => telemetry.redisFailed('updates', error),
  })
  const applier = new UpdateApplier({
    writer: createStateWriter(redis, processId, config.redis.timeoutMs),
    lease: createLease(redis, UPDATER_LEASE_KEY, processId, UPDATER_LEASE_MS),
    isSubscribed: () => subscription.isSubscribed,
    receivedAll: () => subscription.receivedAll(),
    isProtected: (key) => isProtectedKey(key, config.api.protectedPrefixes),
    validate,
    telemetry,
    monitor,
  })
  releases.push('pending updates', () => applier.close())

  const subscriber = connect(
    (...settings) => createConnection(...settings, () => knownNodes(redis)),
    'subscriber',
  )
  releases.push('subscriber of the kv-updater', () => subscriber.disconnect())
  const subscription = new ChannelSubscription({
    redis: subscriber,
    channel,
    echoes: isCluster(redis)
      ? new Echoes({ cluster: redis, subscriber, channel: echoChannel(processId), monotonicNow })
      : undefined,
    received: (message) => applier.received(message),
    telemetry: {
      subscribed(name, gapMs) {
        telemetry.subscribed(name, gapMs)
        applier.subscribed()
      },
      subscriptionLost(name) {
        telemetry.subscriptionLost(name)
        applier.subscriptionLost()
      },
      cutOff: telemetry.cutOff,
      subscribeFailed: telemetry.subscribeFailed,
    },
    monitor,
    monotonicNow,
  })
  releases.push('subscription', () => subscription.close())

  telemetry.started({
    version: context.version,
    channel,
    validate,
    redis: databaseName(config.redis),
  })
  await awaitFirstConnection(Promise.all([startConnecting(redis), startConnecting(subscriber)]))
  return {
    services: [subscription.service(), serverCheck.service(monitor), applier.service()],
    checks: [() => subscription.notReadyReasons(), () => serverCheck.notReadyReasons()],
  }
}

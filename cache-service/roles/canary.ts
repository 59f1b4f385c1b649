import { DeviceCacheClient } from '../../shared/client/client.ts'
import { createCanaryProducer } from '../kafka/canary-producer.ts'
import type { createKafka } from '../kafka/client.ts'
import type { Service } from '../lifecycle/service.ts'
import { createCanary } from '../pipeline/lag-monitor/canary.ts'
import type { createRedis } from '../redis/client.ts'
import { readLastUpdated } from '../redis/devices/last-updated.ts'
import { createCanaryTelemetry } from '../telemetry/canary-telemetry.ts'
import type { ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'

type CanaryConnections = {
  readonly kafka: ReturnType<typeof createKafka>
  readonly redis: ReturnType<typeof createRedis>
}

/** Whether its records arrive is no matter of this process's health: only its metrics and its log tell. */
export function openCanary(
  { config, log }: RoleContext,
  { metrics, monitor, monotonicNow, now, releases }: ProcessParts,
  { kafka, redis }: CanaryConnections,
): readonly Service[] {
  const { canary } = config.lagMonitor
  if (canary === undefined) return []
  const { api, deviceId, everyMs } = canary
  const telemetry = createCanaryTelemetry(log, metrics, { monotonicNow, now })
  const producer = createCanaryProducer(kafka, config.kafka.validatedDataTopic)
  releases.push('canary producer', () => producer.disconnect())
  const client = api && new DeviceCacheClient({ baseUrl: api.url, token: api.token, retries: 0 })
  if (client !== undefined) releases.push('client of the canary', () => client.close())
  telemetry.started({ topic: config.kafka.validatedDataTopic, deviceId, api: api?.url })
  return [
    createCanary({
      deviceId,
      everyMs,
      send: (key, value) => producer.send(key, value),
      readStored: () => readLastUpdated(redis, deviceId),
      readServed:
        client && (async (stop) => (await client.get(deviceId, { signal: stop }))?.last_updated ?? undefined),
      telemetry,
      monitor,
      now,
      monotonicNow,
    }),
  ]
}

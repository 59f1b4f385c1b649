import type { Redis } from 'ioredis'
import { Redis as RedisClient } from 'ioredis'
import type { WorkerReport } from '../../cache-service/core/workers/worker-report.ts'
import { createHintAppender, type HintAppender } from '../../cache-service/redis/events/event-streams.ts'
import { createWorkerReporter } from '../../cache-service/redis/workers/worker-reports.ts'
import { openApi } from '../../cache-service/roles/api.ts'
import { parseDeviceId } from '../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey, UPDATE_TYPES_KEY } from '../../shared/contract/keys.ts'
import { eventually } from '../support/eventually.ts'
import { reservePort } from '../support/servers/free-port.ts'
import { startRole } from '../support/processes/role-run.ts'
import { startOwnRedis, type OwnRedis } from '../support/servers/servers.ts'

/** A Redis with devices, dead letters and state, as the worker and the kv-updater write them. */
export type Platform = {
  readonly redis: OwnRedis
  readonly client: Redis
  readonly hints: HintAppender
  storeDevice(id: string, fields: Readonly<Record<string, string>>, ttlS?: number): Promise<void>
  /** Writes a worker report, as a worker does every few seconds. */
  report(changes?: Partial<WorkerReport>): Promise<void>
  stop(): Promise<void>
}

export const HOSTILE_ID = 'zz <img src=x onerror="document.title=1"> ñ/%2F:🙂'

const REPORT: WorkerReport = {
  id: 'worker-1',
  version: '0.1.0',
  started_at: new Date(Date.now() - 3_600_000).toISOString(),
  reported_at: new Date().toISOString(),
  state: 'consuming',
  ready: true,
  reasons: [],
  rebuilding: false,
  rates: { records: 1234.5, applied: 1234.5, dead_letters: 0.2 },
  totals: { applied: 100_000 },
  dead_letters_total: 1,
  lag: [{ partition: 0, records: 17, seconds: 0.2 }],
  lag_records: 17,
  devices: 61,
  dead_letters: [
    {
      at: new Date(Date.now() - 60_000).toISOString(),
      reason: 'bad_timestamp',
      topic: 'iot_validated_data',
      partition: 3,
      offset: '4711',
    },
  ],
}

export async function startPlatform(): Promise<Platform> {
  const redis = await startOwnRedis()
  const client = new RedisClient(redis.url, { retryStrategy: () => 50 })
  client.on('error', () => undefined)
  const reporter = createWorkerReporter(client, REPORT.id, () => Date.now())

  async function storeDevice(id: string, fields: Readonly<Record<string, string>>, ttlS = 86_400) {
    const deviceId = parseDeviceId(id)
    if (deviceId === undefined) throw new Error(`${id} is not a device id`)
    await client.hset(deviceKey(deviceId), { persist: 'true', ...fields })
    await client.expire(deviceKey(deviceId), ttlS)
    await client.sadd(DEVICE_INDEX_KEY, deviceId)
  }
  let last: Partial<WorkerReport> = {}
  async function report(changes: Partial<WorkerReport> = last): Promise<void> {
    last = changes
    await reporter.write({ ...REPORT, ...changes, reported_at: new Date().toISOString() })
  }

  for (let i = 0; i < 60; i++) {
    await storeDevice(`${i % 2 === 0 ? 'even' : 'odd'}:${String(i).padStart(3, '0')}`, {
      datatype_id: `type-${i % 5}`,
      datatype_name: 'temperature',
      datatype_unit: i % 3 === 0 ? '["V","A"]' : '°C',
      last_updated: pythonTime(Date.now() - i * 60_000),
    })
  }
  await storeDevice(HOSTILE_ID, {
    datatype_name: '<script>document.title=2</script>',
    last_updated: pythonTime(0),
  })
  await client.set('prices', '{"updated":"2026-01-01T00:00:00Z","valid":true,"values":{"gas":12}}')
  await client.sadd(UPDATE_TYPES_KEY, 'prices')
  await report()
  const reporting = setInterval(() => void report().catch(() => undefined), 5_000)

  return {
    redis,
    client,
    hints: createHintAppender(client),
    storeDevice,
    report,
    async stop() {
      clearInterval(reporting)
      client.disconnect()
      await redis.stop()
    },
  }
}

/** A time in the format of `last_updated`. */
export function pythonTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000+00:00')
}

export type RunningApi = { readonly url: string; stop(): Promise<void> }

export async function startApi(
  redis: OwnRedis,
  { env = {}, at }: { env?: Readonly<Record<string, string>>; at?: string } = {},
): Promise<RunningApi> {
  const reserved = at === undefined ? await reservePort() : undefined
  const url = at ?? `http://127.0.0.1:${reserved?.port}`
  const role = await startRole(openApi, {
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
    REDIS_TIMEOUT_S: '1',
    PORT: new URL(url).port,
    ...env,
  })
  await eventually(
    async () => {
      const reply = await fetch(`${url}/readyz`)
      if (!reply.ok) throw new Error(await reply.text())
    },
    { describe: 'the api becomes ready' },
  )
  return {
    url,
    async stop() {
      await role.stop()
      await reserved?.release()
    },
  }
}

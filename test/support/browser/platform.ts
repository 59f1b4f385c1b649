import type { Redis } from 'ioredis'
import { Redis as RedisClient } from 'ioredis'
import type { WorkerReport } from '../../../cache-service/core/workers/worker-report.ts'
import { createHintAppender, type HintAppender } from '../../../cache-service/redis/events/event-streams.ts'
import { openApi } from '../../../cache-service/roles/api.ts'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { parseDeviceId } from '../../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { eventually } from '../eventually.ts'
import { reservePort } from '../servers/free-port.ts'
import { startRole } from '../processes/role-run.ts'
import { startOwnRedis, type OwnRedis } from '../servers/servers.ts'
import { lastingWorkerReporter } from '../records/lasting-reporter.ts'

/** A Redis with devices, dead letters and state, as the worker and the kv-updater write them. */
export type Platform = {
  readonly redis: OwnRedis
  readonly client: Redis
  readonly hints: HintAppender
  storeDevice(id: string, fields: Readonly<Record<string, string>>, ttlS?: number): Promise<void>
  /** Publishes an update as other services do, and resolves when the kv-updater has stored it. */
  publish(type: string, values: string): Promise<void>
  /** Writes a worker report, as a worker does every few seconds. */
  report(changes?: Partial<WorkerReport>): Promise<void>
  /** Removes the report, as a worker does when it stops, until the next one. */
  stopReporting(): Promise<void>
  stop(): Promise<void>
}

export const HOSTILE_ID = 'zz <img src=x onerror="document.title=1"> ñ/%2F:🙂'

const REPORT: WorkerReport = {
  id: 'worker-1',
  group: 'cache_service_group',
  topic: 'iot_validated_data',
  version: '0.1.0',
  started_at: new Date(Date.now() - 3_600_000).toISOString(),
  reported_at: new Date().toISOString(),
  state: 'consuming',
  ready: true,
  reasons: [],
  rebuilding: false,
  rates: { records: 1234.5, applied: 1234.5, dead_letters: 0.2 },
  totals: { applied: 100_000 },
  dead_letters_total: 15,
  dead_letters_by_reason: { not_json: 14, bad_timestamp: 1 },
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
      message: 'timestamp: <img src=x onerror="document.title=3">',
    },
  ],
  history: {
    interval_ms: 15_000,
    at: new Date().toISOString(),
    consumed_per_second: Array.from({ length: 60 }, (_, i) => 1_000 + i),
    lag: Array.from({ length: 60 }, (_, i) => (i === 30 ? null : i)),
    dead_letters: Array.from({ length: 60 }, () => 0),
  },
}

export async function startPlatform(): Promise<Platform> {
  const redis = await startOwnRedis()
  const client = new RedisClient(redis.url, { retryStrategy: () => 50 })
  client.on('error', () => undefined)
  const reporter = lastingWorkerReporter(client, REPORT.id)

  async function storeDevice(id: string, fields: Readonly<Record<string, string>>, ttlS = 86_400) {
    const deviceId = parseDeviceId(id)
    if (deviceId === undefined) throw new Error(`${id} is not a device id`)
    await client.hset(deviceKey(deviceId), { persist: 'true', ...fields })
    await client.expire(deviceKey(deviceId), ttlS)
    await client.sadd(DEVICE_INDEX_KEY, deviceId)
  }
  let last: Partial<WorkerReport> | undefined = {}
  async function report(changes: Partial<WorkerReport> | undefined = last): Promise<void> {
    last = changes
    if (changes === undefined) return
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
  const updater = await startRole(openKvUpdater, { REDIS_HOST: redis.host, REDIS_PORT: String(redis.port) })
  await eventually(async () => {
    if (!(await updater.isReady())) throw new Error('the kv-updater is not ready')
  })
  async function publish(type: string, values: string): Promise<void> {
    const updated = JSON.stringify(new Date().toISOString())
    await client.publish(
      'update',
      `{"type":${JSON.stringify(type)},"updated":${updated},"valid":true,"values":${values}}`,
    )
    await eventually(async () => {
      const stored = await client.get(type)
      if (stored?.includes(updated) !== true) throw new Error(`${type} is not stored`)
    })
  }
  await publish('prices', '{"gas":12}')
  await report()
  const reporting = setInterval(() => void report().catch(() => undefined), 5_000)

  return {
    redis,
    client,
    hints: createHintAppender(client),
    storeDevice,
    report,
    publish,
    async stopReporting() {
      last = undefined
      await reporter.remove()
    },
    async stop() {
      clearInterval(reporting)
      await updater.stop()
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

import { onTestFinished } from 'vitest'
import { gapFields, hintFields } from '../../../cache-service/core/events/stream-entry.ts'
import { DeviceCacheClient } from '../../../shared/client/client.ts'
import type { DeviceCacheClientOptions } from '../../../shared/client/types.ts'
import {
  DEVICE_INDEX_KEY,
  DEVICE_STREAM_KEY,
  deviceKey,
  UPDATE_STREAM_KEY,
} from '../../../shared/contract/keys.ts'
import { startApiProxy, type ApiProxy } from '../servers/api-proxy.ts'
import { deviceId } from '../records/record-builder.ts'
import type { RedisDatabase } from '../test-scope.ts'
import { lastingWorkerReporter } from '../records/lasting-reporter.ts'

export const NEWEST = '2025-06-08T18:27:17.476623+00:00'

type Connection = RedisDatabase['client']

/** Stores a device as a worker does. */
export async function storeDevice(
  redis: Connection,
  text: string,
  fields: Record<string, string> = {},
  ttlMs = 86_400_000,
): Promise<void> {
  const id = deviceId(text)
  await redis
    .multi()
    .hset(deviceKey(id), { persist: 'true', last_updated: NEWEST, ...fields })
    .pexpire(deviceKey(id), ttlMs)
    .sadd(DEVICE_INDEX_KEY, id)
    .exec()
}

/** Appends a hint to the device stream, as a worker does. */
export async function hint(
  redis: Connection,
  kind: 'changed' | 'deleted',
  ids: readonly string[],
  more = 0,
): Promise<void> {
  await redis.xadd(DEVICE_STREAM_KEY, '*', ...hintFields(kind, ids, more))
}

export async function appendGap(redis: Connection): Promise<void> {
  await redis.xadd(DEVICE_STREAM_KEY, '*', ...gapFields('missed'))
}

export async function appendUpdate(redis: Connection, type: string, value: number): Promise<void> {
  const json = JSON.stringify({ type, updated: null, valid: true, values: [value] })
  await redis.xadd(UPDATE_STREAM_KEY, '*', 'kind', 'update', 'type', type, 'json', json)
}

/** Writes the report of a worker that is rebuilding the cache, or not. */
export async function reportRebuilding(redis: Connection, rebuilding: boolean): Promise<void> {
  await lastingWorkerReporter(redis, 'w1').write({
    ...{ id: 'w1', version: '1', started_at: NEWEST, reported_at: NEWEST, state: 'consuming', ready: true },
    ...{ reasons: [], rates: { records: 0, applied: 0, dead_letters: 0 }, totals: {}, dead_letters_total: 0 },
    ...{ lag: null, lag_records: null, devices: null, dead_letters: [], rebuilding },
  })
}

/** Starts a proxy, which is stopped when the test ends. */
export async function proxyTo(url: string): Promise<ApiProxy> {
  const proxy = await startApiProxy(url)
  onTestFinished(() => proxy.stop())
  return proxy
}

/** Creates a client, which is closed when the test ends. */
export function clientOf(
  baseUrl: string,
  options: Omit<DeviceCacheClientOptions, 'baseUrl'> = {},
): DeviceCacheClient {
  const client = new DeviceCacheClient({ baseUrl, ...options })
  onTestFinished(() => client.close())
  return client
}

/** The ids in each lookup request that the proxy has seen. */
export function lookupsOf(proxy: ApiProxy): string[][] {
  return proxy.seen
    .filter(({ line }) => line === 'POST /api/devices/lookup')
    .map(({ body }) => {
      const { ids }: { ids: string[] } = JSON.parse(body)
      return ids
    })
}

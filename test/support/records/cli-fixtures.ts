import { parse } from 'csv-parse/sync'
import { deviceKey } from '../../../shared/contract/keys.ts'
import { deviceId } from './record-builder.ts'
import type { RedisDatabase } from '../test-scope.ts'

export const LAST_UPDATED = '2025-06-08T18:27:17.476623+00:00'

/** Stores a device in Redis and in the index, as a worker does. */
export async function storeDevice(
  { client }: Pick<RedisDatabase, 'client'>,
  id: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<void> {
  const key = deviceKey(deviceId(id))
  await client.hset(key, {
    persist: 'true',
    last_updated: LAST_UPDATED,
    datatype_name: 'temperature',
    ...fields,
  })
  await client.expire(key, 3_600)
  await client.sadd('devices', id)
}

/** The rows of a CSV as objects. */
export function parseCsvText(text: string): Record<string, string>[] {
  return parse(text, { columns: true })
}

import type { DeviceId } from '../../../shared/contract/device-id.ts'

/** What Redis holds of a device, as the JSON text that callers of the API are given. */
export type DeviceReading =
  | { readonly kind: 'found'; readonly json: string }
  | { readonly kind: 'missing' }
  /** Somebody else wrote what no worker writes; `reason` never quotes it. */
  | { readonly kind: 'corrupt'; readonly reason: string }

export type DeviceReadingPage = {
  readonly devices: readonly { readonly deviceId: DeviceId; readonly reading: DeviceReading }[]
  /** Where to go on; undefined at the end. */
  readonly next: PagePosition | undefined
}

/** Where in the device index a page begins. */
export type PagePosition = {
  readonly cursor: string
  /** Of the ids at the cursor only those above this one. */
  readonly above?: string | undefined
}

/** The devices as the api reads them. Every call rejects with a ServiceError if Redis did not answer. */
export type DeviceReader = {
  /** Reads of one turn of the event loop travel together. */
  read(deviceId: DeviceId): Promise<DeviceReading>
  /** In the order of the ids, in one round trip. */
  readMany(deviceIds: readonly DeviceId[]): Promise<DeviceReading[]>
  /** The hash as it is, its fields sorted; undefined: there is none. */
  readHash(deviceId: DeviceId): Promise<Readonly<Record<string, string>> | undefined>
  /** At most `limit` devices; fewer, even none, does not mean the end. */
  page(position: PagePosition, limit: number, idPrefix: string): Promise<DeviceReadingPage>
  /** Hash and index. False if there was no hash. */
  remove(deviceId: DeviceId): Promise<boolean>
}

const NAMED = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist', 'last_updated'] as const

/**
 * @param fields name, value, name, value, … as the hash holds them: text, all of it (metadata-fields.ts).
 * @param ttlS undefined: the hash never expires.
 */
export function renderDevice(
  deviceId: DeviceId,
  fields: readonly string[],
  ttlS: number | undefined,
): DeviceReading {
  const named = new Map<string, string>()
  const extra: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    if (NAMED.some((known) => known === name)) named.set(name, value)
    else extra.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`)
  }
  const persist = named.get('persist') ?? 'true'
  if (!parsesAsJson(persist)) return { kind: 'corrupt', reason: 'persist is not JSON' }
  const text = (name: (typeof NAMED)[number]) => JSON.stringify(named.get(name) ?? null)
  const unit = named.get('datatype_unit')
  const members = [
    `"device_id":${JSON.stringify(deviceId)}`,
    `"datatype_id":${text('datatype_id')}`,
    `"datatype_name":${text('datatype_name')}`,
    `"datatype_unit":${unit !== undefined && isJsonList(unit) ? unit : text('datatype_unit')}`,
    `"persist":${persist}`,
    `"last_updated":${text('last_updated')}`,
    `"extra":{${extra.join()}}`,
    `"ttl":${ttlS ?? 'null'}`,
  ]
  return { kind: 'found', json: `{${members.join()}}` }
}

/** All but `ttl`, which is the last member: it changes while the hash does not. */
export function hashTextOf(json: string): string {
  return json.slice(0, json.lastIndexOf(',"ttl":'))
}

function isJsonList(text: string): boolean {
  return /^[ \t\r\n]*\[/.test(text) && parsesAsJson(text)
}

function parsesAsJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

import type { ServiceError } from '../../../shared/errors.ts'
import { parseJson } from '../../../shared/json.ts'
import type { DeviceId } from '../../../shared/contract/device-id.ts'

/** What Redis holds for a device, as the JSON text that the API returns. */
export type DeviceReading =
  | { readonly kind: 'found'; readonly json: string }
  | { readonly kind: 'missing' }
  /** Another program wrote something that no worker writes; `reason` never quotes it. */
  | { readonly kind: 'corrupt'; readonly reason: string }
  /** The master of a Cluster that holds the device does not answer; others do. */
  | { readonly kind: 'unavailable'; readonly error: ServiceError }

export type AvailableReading = Exclude<DeviceReading, { kind: 'unavailable' }>

export type DeviceReadingPage = {
  readonly devices: readonly { readonly deviceId: DeviceId; readonly reading: DeviceReading }[]
  /** Where the next page begins; undefined: this is the last page. */
  readonly next: PagePosition | undefined
}

/** Where in the device index a page begins. */
export type PagePosition = {
  readonly cursor: string
  /** Only the ids at the cursor that are greater than this one. */
  readonly above?: string | undefined
}

/** The devices as the api reads them. Every call rejects with a ServiceError if Redis fails. */
export type DeviceReader = {
  /** Reads of the same turn of the event loop share a round trip. Rejects if the device is unavailable. */
  read(deviceId: DeviceId): Promise<AvailableReading>
  /** Resolves in the order of the ids, after one round trip. */
  readMany(deviceIds: readonly DeviceId[]): Promise<DeviceReading[]>
  /** The raw hash, its fields sorted; undefined: there is none. */
  readHash(deviceId: DeviceId): Promise<Readonly<Record<string, string>> | undefined>
  /** At most `limit` devices. A page may be short, or even empty, before the last one. */
  page(position: PagePosition, limit: number, idPrefix: string): Promise<DeviceReadingPage>
  /** Removes the hash and the index entry. Resolves with false if there was no hash. */
  remove(deviceId: DeviceId): Promise<boolean>
}

const NAMED = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist', 'last_updated'] as const

/**
 * @param fields name, value, name, value, … as the hash holds them: all text (metadata-fields.ts).
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
  if (parseJson(persist) === undefined)
    return { kind: 'corrupt', reason: 'The field persist is not valid JSON.' }
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

/** Everything except `ttl`, which is the last member: it changes while the hash stays the same. */
export function hashTextOf(json: string): string {
  return json.slice(0, json.lastIndexOf(',"ttl":'))
}

function isJsonList(text: string): boolean {
  return /^[ \t\r\n]*\[/.test(text) && parseJson(text) !== undefined
}

import { z } from 'zod'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { SORT_FIELDS, type SortField } from '../../../shared/contract/api-types.ts'
import type { DeviceReading } from './device-view.ts'

export type DeviceSort = { readonly field: SortField; readonly isDescending: boolean }

/** Which devices a search finds, and in which order. All conditions must be met. */
export type DeviceQuery = {
  /** Of the id, as it is. */
  readonly prefix: string
  /** Part of the id, in upper or lower case. */
  readonly contains: string
  /** The name or the id of the datatype; empty: the device has neither. undefined: any. */
  readonly type: string | undefined
  /** The unit, or a member of a list of units; empty: none. undefined: any. */
  readonly unit: string | undefined
  /** No event time within this many seconds before the search. */
  readonly silentForS: number | undefined
  /** Event times in microseconds since 1970. */
  readonly updatedBeforeUs: number | undefined
  readonly updatedAfterUs: number | undefined
  readonly sort: DeviceSort
}

/** Every device, by id. */
export const EVERY_DEVICE: DeviceQuery = {
  prefix: '',
  contains: '',
  type: undefined,
  unit: undefined,
  silentForS: undefined,
  updatedBeforeUs: undefined,
  updatedAfterUs: undefined,
  sort: { field: 'device_id', isDescending: false },
}

/**
 * Where the next page begins: after the device with this id and this value of the sorted field. It is also valid for
 * another snapshot and in another process, even if the device is gone.
 */
export type SearchPosition = {
  /** The time of the first page, for ages: the devices that count as silent remain the same on all pages. */
  readonly asOfMs: number
  readonly sort: DeviceSort
  /** An event time, or text. */
  readonly value: number | string
  readonly id: DeviceId
}

/** The devices that a query found in a snapshot of the cache. */
export type FoundDevices = {
  readonly total: number
  /** The time of the snapshot. */
  readonly asOfMs: number
  /** The cache holds more devices than a search covers: further ones may match. */
  readonly isTruncated: boolean
  /** How many of them precede this position. */
  offsetAfter(position: SearchPosition): number
  /** undefined: there are no devices after this number of devices. */
  positionAt(offset: number): SearchPosition | undefined
  /** Reads devices as they are now: those that have expired since the snapshot are missing. */
  read(
    offset: number,
    limit: number,
  ): Promise<readonly { readonly deviceId: DeviceId; readonly reading: DeviceReading }[]>
}

/** How many devices of the snapshot have a type. */
export type TypeCount = {
  readonly datatype_id: string | null
  readonly datatype_name: string | null
  readonly datatype_unit: string | null
  readonly devices: number
}

export type TypeCounts = {
  /** The most frequent first. */
  readonly types: readonly TypeCount[]
  readonly total: number
  readonly asOfMs: number
  readonly isTruncated: boolean
}

/**
 * Searches all devices, in a snapshot that is kept for some seconds and shared by all callers. Calls reject with a
 * ServiceError if Redis fails, and with the reason of the signal; when all callers are gone, nothing more is read.
 */
export type DeviceSearcher = {
  find(query: DeviceQuery, position: SearchPosition | undefined, signal: AbortSignal): Promise<FoundDevices>
  countTypes(signal: AbortSignal): Promise<TypeCounts>
}

const cursorSchema = z.tuple([
  z.int().nonnegative(),
  z.string().max(20),
  z.union([z.number(), z.string()]),
  z.string().refine(isDeviceId),
])

export function sortText({ field, isDescending }: DeviceSort): SortField | `-${SortField}` {
  return isDescending ? `-${field}` : field
}

/** The inverse of sortText; undefined: there is no such field. */
export function parseSort(text: string): DeviceSort | undefined {
  const isDescending = text.startsWith('-')
  const field = SORT_FIELDS.find((known) => known === text.slice(isDescending ? 1 : 0))
  return field === undefined ? undefined : { field, isDescending }
}

/** Opaque to callers: its content may change with any release. */
export function encodeSearchCursor({ asOfMs, id, sort, value }: SearchPosition): string {
  return Buffer.from(JSON.stringify([asOfMs, sortText(sort), value, id])).toString('base64url')
}

/** undefined: the text is not a cursor of a search in this order. */
export function decodeSearchCursor(text: string, sort: DeviceSort): SearchPosition | undefined {
  try {
    const parsed = cursorSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString()))
    if (!parsed.success) return undefined
    const [asOfMs, sorted, value, id] = parsed.data
    const isNumber = sort.field === 'last_updated'
    if (sorted !== sortText(sort) || isNumber !== (typeof value === 'number')) return undefined
    return { asOfMs, sort, value, id }
  } catch {
    return undefined
  }
}

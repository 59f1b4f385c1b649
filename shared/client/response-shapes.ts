import type { ApiProblem, Device } from '../contract/api-types.ts'
import { isObject } from '../json.ts'

// What the client requires of a response. Written by hand, because zod is ten times as large as the rest of the client.
// Unknown fields are accepted, as a newer API may send some. test/unit/shared/contract/api-types.test.ts proves that these
// functions accept what the schemas of the server describe.

/** Returns the validated value. @param path within the response, for the error. @throws MismatchError */
export type ResponseShape<T> = (json: unknown, path: string) => T

/** The response is not what the API describes. Quotes nothing of it. */
export class MismatchError extends Error {
  override readonly name = 'MismatchError'
}

function mismatch(path: string, expected: string): never {
  throw new MismatchError(`${path} must be ${expected}`)
}

const text: ResponseShape<string> = (json, path) =>
  typeof json === 'string' ? json : mismatch(path, 'a string')

const integer: ResponseShape<number> = (json, path) =>
  typeof json === 'number' && Number.isSafeInteger(json) ? json : mismatch(path, 'an integer')

const trueOrFalse: ResponseShape<boolean> = (json, path) =>
  typeof json === 'boolean' ? json : mismatch(path, 'true or false')

const object: ResponseShape<Record<string, unknown>> = (json, path) =>
  isObject(json) ? json : mismatch(path, 'an object')

function nullable<T>(shape: ResponseShape<T>): ResponseShape<T | null> {
  return (json, path) => (json === null ? null : shape(json, path))
}

function list<T>(item: ResponseShape<T>): ResponseShape<T[]> {
  return (json, path) =>
    Array.isArray(json)
      ? json.map((part: unknown, i) => item(part, `${path}[${i}]`))
      : mismatch(path, 'a list')
}

/** As entries, because a name may be any text, including `__proto__`. */
function entries<T>(value: ResponseShape<T>): ResponseShape<[string, T][]> {
  return (json, path) =>
    Object.entries(object(json, path)).map(([name, part]) => [name, value(part, `${path}.${name}`)])
}

/** Any value, but the field must be there. */
function present(fields: Record<string, unknown>, name: string, path: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : mismatch(`${path}.${name}`, 'present')
}

const nullableText = nullable(text)
const nullableInteger = nullable(integer)
const texts = list(text)
const textEntries = entries(text)

const unit: ResponseShape<Device['datatype_unit']> = (json, path) => {
  if (json === null || typeof json === 'string') return json
  return Array.isArray(json) ? json : mismatch(path, 'a string, a list or null')
}

export const deviceShape: ResponseShape<Device> = (json, path) => {
  const device = object(json, path)
  return {
    device_id: text(device['device_id'], `${path}.device_id`),
    datatype_id: nullableText(device['datatype_id'], `${path}.datatype_id`),
    datatype_name: nullableText(device['datatype_name'], `${path}.datatype_name`),
    datatype_unit: unit(device['datatype_unit'], `${path}.datatype_unit`),
    persist: present(device, 'persist', path),
    last_updated: nullableText(device['last_updated'], `${path}.last_updated`),
    extra: Object.fromEntries(textEntries(device['extra'], `${path}.extra`)),
    ttl: nullableInteger(device['ttl'], `${path}.ttl`),
  }
}

export const problemShape: ResponseShape<ApiProblem> = (json, path) => {
  const problem = object(json, path)
  const { detail } = problem
  return {
    ...problem,
    type: text(problem['type'], `${path}.type`),
    title: text(problem['title'], `${path}.title`),
    status: integer(problem['status'], `${path}.status`),
    ...(detail !== undefined && { detail: text(detail, `${path}.detail`) }),
  }
}

const problemEntries = entries(problemShape)
const devices = list(deviceShape)

export type PageResponse = {
  readonly devices: readonly Device[]
  readonly nextCursor: string | null
  readonly errors: ReadonlyMap<string, ApiProblem>
}

export const pageShape: ResponseShape<PageResponse> = (json, path) => {
  const page = object(json, path)
  return {
    devices: devices(page['devices'], `${path}.devices`),
    nextCursor: nullableText(page['next_cursor'], `${path}.next_cursor`),
    errors: new Map(page['errors'] === undefined ? [] : problemEntries(page['errors'], `${path}.errors`)),
  }
}

export type SearchResponse = PageResponse & {
  readonly total: number
  readonly offset: number
  readonly asOf: Date
  readonly truncated: boolean
}

export const searchShape: ResponseShape<SearchResponse> = (json, path) => {
  const search = object(json, path)
  return {
    ...pageShape(json, path),
    total: integer(search['total'], `${path}.total`),
    offset: integer(search['offset'], `${path}.offset`),
    asOf: new Date(text(search['as_of'], `${path}.as_of`)),
    truncated: trueOrFalse(search['truncated'], `${path}.truncated`),
  }
}

/** Devices and problems are validated one by one, so that an invalid one does not affect the others. */
export type LookupResponse = {
  readonly found: Readonly<Record<string, unknown>>
  readonly missing: readonly string[]
  readonly errors: Readonly<Record<string, unknown>>
  readonly complete: boolean
}

export const lookupShape: ResponseShape<LookupResponse> = (json, path) => {
  const lookup = object(json, path)
  return {
    found: object(lookup['found'], `${path}.found`),
    missing: texts(lookup['missing'], `${path}.missing`),
    errors: object(lookup['errors'], `${path}.errors`),
    complete: trueOrFalse(lookup['complete'], `${path}.complete`),
  }
}

export type StateResponse = { readonly values: ReadonlyMap<string, unknown>; readonly lastEventId: string }

export const stateShape: ResponseShape<StateResponse> = (json, path) => {
  const response = object(json, path)
  return {
    values: new Map(Object.entries(object(response['state'], `${path}.state`))),
    lastEventId: text(response['last_event_id'], `${path}.last_event_id`),
  }
}

export type DeviceEvent = {
  readonly change: 'changed' | 'deleted'
  readonly deviceIds: readonly string[]
  readonly more: number
}

export const deviceEventShape: ResponseShape<DeviceEvent> = (json, path) => {
  const event = object(json, path)
  const { change } = event
  return {
    change:
      change === 'changed' || change === 'deleted'
        ? change
        : mismatch(`${path}.change`, 'changed or deleted'),
    deviceIds: texts(event['device_ids'], `${path}.device_ids`),
    more: integer(event['more'], `${path}.more`),
  }
}

export type UpdateEvent = {
  readonly type: string
  readonly updated: unknown
  readonly valid: unknown
  readonly values: unknown
  readonly isTooLarge: boolean
}

export const updateEventShape: ResponseShape<UpdateEvent> = (json, path) => {
  const event = object(json, path)
  const { values, too_large: tooLarge } = event
  if (tooLarge !== undefined && tooLarge !== true) mismatch(`${path}.too_large`, 'true or absent')
  return {
    type: text(event['type'], `${path}.type`),
    updated: present(event, 'updated', path),
    valid: present(event, 'valid', path),
    ...{ values, isTooLarge: tooLarge === true },
  }
}

export type ResetEvent = { readonly streams: readonly string[]; readonly reason: string }

export const resetEventShape: ResponseShape<ResetEvent> = (json, path) => {
  const event = object(json, path)
  return {
    streams: texts(event['streams'], `${path}.streams`),
    reason: text(event['reason'], `${path}.reason`),
  }
}

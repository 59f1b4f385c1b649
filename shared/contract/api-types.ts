// The responses of the API as types, without the zod of api-schemas.ts: the client must not need it.
// test/unit/shared/contract/api-types.test.ts proves that the two agree.

export const MAX_PAGE_SIZE = 1000
export const MAX_LOOKUP_IDS = 1000

/** The fields by which a search can sort. */
export const SORT_FIELDS = ['device_id', 'datatype_name', 'datatype_unit', 'last_updated'] as const
export type SortField = (typeof SORT_FIELDS)[number]

/** The newest metadata of a device. Concurrent callers share the object, so it is read-only. */
export type Device = {
  readonly device_id: string
  readonly datatype_id: string | null
  readonly datatype_name: string | null
  readonly datatype_unit: string | readonly unknown[] | null
  /** Usually a boolean or a list of booleans. */
  readonly persist: unknown
  /** Event time: ISO 8601, UTC, six fraction digits. */
  readonly last_updated: string | null
  /** Further fields, unparsed. */
  readonly extra: Readonly<Record<string, string>>
  /** Seconds until the device expires; null: never. */
  readonly ttl: number | null
}

/** An error response of the API (RFC 9457), which may have further fields. */
export type ApiProblem = {
  /** Problem type, such as `not_found`. Programs should switch on it. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail?: string | undefined
  readonly [field: string]: unknown
}

import type { PythonDict } from './python-text.ts'

export type SimulatedRecord = {
  readonly key: string
  readonly value: Buffer | null
  /** The Kafka timestamp. */
  readonly timestampMs: number
  readonly about: RecordAbout
}

export type RecordAbout =
  | ({ readonly kind: 'valid'; readonly what: 'reading' } & ExpectedUpdate)
  | ({ readonly kind: 'awkward'; readonly what: AwkwardUpdate } & ExpectedUpdate)
  | {
      readonly kind: 'awkward'
      readonly what: 'null_metadata'
      readonly outcome: 'skipped'
      readonly deviceId: string
    }
  | {
      readonly kind: 'valid'
      readonly what: 'tombstone'
      readonly outcome: 'tombstone'
      readonly deviceId: string
    }
  | {
      readonly kind: 'invalid'
      readonly what: InvalidKind
      readonly outcome: 'rejected'
      readonly deviceId: string
    }

export type ExpectedUpdate = {
  readonly outcome: 'update'
  readonly deviceId: string
  /** The event time as the cache must store it. */
  readonly lastUpdated: string
  readonly metadata: PythonDict
}

const AWKWARD_UPDATES = [
  'nan_value',
  'unicode',
  'offset_timestamp',
  'whole_second',
  'null_fields',
  'number_as_id',
  'no_persist',
  'late',
  'duplicate',
] as const
export type AwkwardUpdate = (typeof AWKWARD_UPDATES)[number]
export type AwkwardKind = AwkwardUpdate | 'null_metadata'
export const AWKWARD_KINDS: readonly AwkwardKind[] = [...AWKWARD_UPDATES, 'null_metadata']

/** Named like the reason of the dead letter. */
export const INVALID_KINDS = [
  'not_json',
  'not_utf8',
  'empty_value',
  'missing_device_id',
  'bad_timestamp',
  'bad_metadata',
] as const
export type InvalidKind = (typeof INVALID_KINDS)[number]

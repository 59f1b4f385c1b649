import { MAX_KEY_BYTES } from './dead-letter.ts'
import { z } from 'zod'
import { errorMessageSchema } from '../../../shared/contract/messages.ts'
import { decodeJson } from '../decode-json.ts'
import type { SourceRecord } from '../records/source-record.ts'

/** A message read from the error topic. */
export type StoredDeadLetter = {
  readonly partition: number
  readonly offset: number
  /** When Kafka received it, in milliseconds since 1970. */
  readonly writtenAtMs: number
  readonly requestId: string
  readonly error: string
  readonly reason: string
  /** As given in the record; not necessarily a valid id. */
  readonly deviceId: string | undefined
  readonly source: DeadLetterSource
  /** How many times the record had been replayed to the topic before. */
  readonly replayCount: number
  readonly serviceVersion: string
  readonly original: OriginalValue
  readonly key: Buffer | null
  readonly isKeyCut: boolean
}

/** The record's coordinates. */
export type DeadLetterSource = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** As Kafka reported it: milliseconds since 1970, or `-1` for none. */
  readonly timestampMs: number
}

export type OriginalValue =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'tombstone'; readonly bytes?: undefined }
  /** Too large for a header: the record must be read from its topic. `bytes` is the part that fitted. */
  | { readonly kind: 'cut'; readonly bytes: Buffer | undefined }

export type ParsedDeadLetter =
  | { readonly kind: 'dead_letter'; readonly deadLetter: StoredDeadLetter }
  /** Written by another service, or unreadable. */
  | { readonly kind: 'foreign' }

const offsetText = z.string().regex(/^\d{1,16}$/)
const headersSchema = z.object({
  source_topic: z.string().min(1),
  source_partition: offsetText,
  source_offset: offsetText,
  source_timestamp: z.string().regex(/^-?\d{1,16}$/),
  reason: z.string().min(1),
  service_version: z.string().optional(),
  replay_count: z.string().optional(),
})

export function parseDeadLetter(record: SourceRecord, partition: number): ParsedDeadLetter {
  const decoded = record.value === null ? undefined : decodeJson(record.value)
  const message = decoded?.kind === 'json' ? errorMessageSchema.safeParse(decoded.json).data : undefined
  const texts = Object.keys(headersSchema.shape).map((name) => [name, headerText(record, name)])
  const headers = headersSchema.safeParse(Object.fromEntries(texts)).data
  if (message === undefined || headers === undefined) return { kind: 'foreign' }
  const key = headerBytes(record, 'source_key') ?? null
  const named = message.original_message?.['device_id']
  return {
    kind: 'dead_letter',
    deadLetter: {
      partition,
      offset: record.offset,
      writtenAtMs: record.timestampMs,
      requestId: message.request_id,
      error: message.error,
      reason: headers.reason,
      deviceId: typeof named === 'string' ? named : key?.toString('utf8'),
      source: {
        topic: headers.source_topic,
        partition: Number(headers.source_partition),
        offset: Number(headers.source_offset),
        timestampMs: Number(headers.source_timestamp),
      },
      replayCount: replayCountOf(headers.replay_count),
      serviceVersion: headers.service_version ?? '',
      original: originalOf(record),
      key,
      isKeyCut: (key?.length ?? 0) >= MAX_KEY_BYTES,
    },
  }
}

/** A header may occur more than once; the last one counts. */
function headerBytes({ headers }: SourceRecord, name: string): Buffer | undefined {
  const given = headers?.[name]
  const last = Array.isArray(given) ? given.at(-1) : given
  return typeof last === 'string' ? Buffer.from(last) : (last ?? undefined)
}

/**
 * How many times a record has been replayed to its topic, according to its header. A header that is not a number
 * counts as infinity, so that the record is not replayed again.
 */
function replayCountOf(text: string | undefined): number {
  if (text === undefined) return 0
  return /^\d{1,9}$/.test(text) ? Number(text) : Infinity
}

function headerText(record: SourceRecord, name: string): string | undefined {
  return headerBytes(record, name)?.toString('utf8')
}

function originalOf(record: SourceRecord): OriginalValue {
  // Its bytes, if any, are those of a whole batch.
  if (headerText(record, 'reason') === 'undecodable') return { kind: 'cut', bytes: undefined }
  const bytes = headerBytes(record, 'original_value')
  if (headerBytes(record, 'original_value_truncated') !== undefined) return { kind: 'cut', bytes }
  return bytes === undefined ? { kind: 'tombstone' } : { kind: 'bytes', bytes }
}

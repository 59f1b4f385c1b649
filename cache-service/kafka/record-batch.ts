import { messageOf } from '../../shared/errors.ts'
import type { RecordHeaders, SourceRecord } from '../core/records/source-record.ts'
import { decompress, type CodecName } from './codecs.ts'
import { crc32c } from './crc32c.ts'

/**
 * Kafka's record batches (format version 2), read from the bytes of a fetch response.
 *
 * Reading a header is cheap and tells which offsets the batch covers, even if compaction left few records in it, or
 * none. The records are decoded later, batch by batch, just before they are applied, because a fetch can decompress to
 * many times its size.
 *
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */
export type RecordBatch = {
  readonly baseOffset: number
  /** The offset after the batch, even if compaction has removed its last records. */
  readonly nextOffset: number
  readonly codec: CodecName | 'none' | 'unknown'
  /** According to the header of the batch. */
  readonly recordCount: number
  /** Its checksum is wrong: nothing of it can be trusted but its first offset and its length, which the checksum does not cover. */
  readonly isDamaged: boolean
  readonly isTransactional: boolean
  /** It marks the end of a transaction and holds no producer's records. */
  readonly isControl: boolean
  readonly producerId: bigint
  /** The time of every record, set by the broker; undefined: each record has its own. */
  readonly appendTimeMs: number | undefined
  readonly baseTimestampMs: number
  /** The whole batch as Kafka stores it, for the dead letter if it cannot be decoded. */
  readonly bytes: Buffer
}

/** `bytes`: their decompressed size. */
export type DecodedRecords = { readonly records: readonly SourceRecord[]; readonly bytes: number }

/** The records of a batch cannot be read; only its offsets are known. */
export class UndecodableBatchError extends Error {
  override readonly name = 'UndecodableBatchError'
}

const CODEC_MASK = 0x07
const APPEND_TIME_FLAG = 0x08
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20
const CODECS: readonly RecordBatch['codec'][] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Base offset and length, which the length does not include. */
const PREFIX_BYTES = 12
const HEADER_BYTES = 61
const MAGIC_AT = 16
const CHECKSUM_AT = 17
/** From here on, the checksum covers the batch. */
const CHECKED_AT = 21
const ABORT_MARKER = 0

export type ReadBatches = {
  readonly batches: readonly RecordBatch[]
  /** Why what follows the batches cannot be read, not even as offsets. */
  readonly unreadable: string | undefined
}

/**
 * The batches of one partition in a fetch response. Kafka cuts responses by bytes, so the last batch may be incomplete:
 * it is omitted, and the next fetch begins with it. A damaged batch is either the first and only one, or treated likewise.
 */
export function readRecordBatches(bytes: Buffer): ReadBatches {
  const batches: RecordBatch[] = []
  let at = 0
  while (at + HEADER_BYTES <= bytes.length) {
    const magic = bytes.readInt8(at + MAGIC_AT)
    if (magic !== 2)
      return { batches, unreadable: `a record batch has version ${magic}; only version 2 is supported` }
    const length = PREFIX_BYTES + bytes.readInt32BE(at + 8)
    if (length < HEADER_BYTES)
      return { batches, unreadable: `a record batch has a length of ${length} bytes` }
    if (at + length > bytes.length) break
    const batch = readHeader(bytes.subarray(at, at + length))
    if (batch.nextOffset <= batch.baseOffset)
      return { batches, unreadable: 'a record batch covers no offset' }
    at += length
    if (!batch.isDamaged) {
      batches.push(batch)
      continue
    }
    if (batches.length === 0) batches.push(endingBefore(batch, bytes.subarray(at)))
    break
  }
  return { batches, unreadable: undefined }
}

/** Its last offset may be wrong, but the first of the batch behind it is not. */
function endingBefore(damaged: RecordBatch, following: Buffer): RecordBatch {
  if (following.length < PREFIX_BYTES) return damaged
  const nextOffset = Math.min(damaged.nextOffset, Number(following.readBigInt64BE(0)))
  return nextOffset > damaged.baseOffset ? { ...damaged, nextOffset } : damaged
}

function readHeader(bytes: Buffer): RecordBatch {
  const isDamaged = bytes.readUInt32BE(CHECKSUM_AT) !== crc32c(bytes.subarray(CHECKED_AT))
  const attributes = bytes.readInt16BE(21)
  const baseOffset = Number(bytes.readBigInt64BE(0))
  const maxTimestampMs = Number(bytes.readBigInt64BE(35))
  return {
    baseOffset,
    nextOffset: baseOffset + bytes.readInt32BE(23) + 1,
    codec: CODECS[attributes & CODEC_MASK] ?? 'unknown',
    isDamaged,
    isTransactional: !isDamaged && (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControl: !isDamaged && (attributes & CONTROL_FLAG) !== 0,
    appendTimeMs: (attributes & APPEND_TIME_FLAG) === 0 ? undefined : maxTimestampMs,
    baseTimestampMs: Number(bytes.readBigInt64BE(27)),
    producerId: bytes.readBigInt64BE(43),
    // -1: it is not known, and none would mean that nothing is lost.
    recordCount: isDamaged ? bytes.readInt32BE(57) || -1 : bytes.readInt32BE(57),
    bytes,
  }
}

/**
 * The records of a batch, in order. Keys and values are views of the decompressed bytes: copy one to keep it longer than
 * the chunk.
 *
 * @throws UndecodableBatchError if they cannot be decompressed, or do not match the header.
 */
export async function decodeRecords(batch: RecordBatch): Promise<DecodedRecords> {
  const compressed = batch.bytes.subarray(HEADER_BYTES)
  try {
    if (batch.isDamaged) throw new Error('its checksum is wrong')
    if (batch.codec === 'unknown') throw new Error('unknown compression type')
    const bytes = batch.codec === 'none' ? compressed : await decompress(batch.codec, compressed)
    return { records: readRecords(bytes, batch), bytes: bytes.length }
  } catch (error) {
    const detail = messageOf(error)
    throw new UndecodableBatchError(`${batch.codec}: ${detail}`, { cause: error })
  }
}

/** Whether this is the control batch that marks its producer's transaction as aborted. */
export function isAbortMarker(batch: RecordBatch): boolean {
  if (!batch.isControl) return false
  try {
    const [record] = readRecords(batch.bytes.subarray(HEADER_BYTES), batch)
    // The key is a version and a type, two bytes each.
    return record?.key !== null && record?.key.length === 4 && record.key.readInt16BE(2) === ABORT_MARKER
  } catch {
    return false
  }
}

/** @throws RangeError if the bytes are not exactly the records that the header declares. */
function readRecords(bytes: Buffer, batch: RecordBatch): SourceRecord[] {
  const { appendTimeMs, baseOffset, baseTimestampMs, nextOffset, recordCount } = batch
  if (recordCount < 0 || recordCount > bytes.length)
    throw new RangeError(`${recordCount} records are declared`)
  const records: SourceRecord[] = []
  const cursor = new Cursor(bytes)
  let earliest = baseOffset
  for (let i = 0; i < recordCount; i++) {
    const end = cursor.readLength() + cursor.at
    cursor.at += 1 // attributes, which version 2 does not use
    const timestampDeltaMs = cursor.readVarint()
    const offsetDelta = cursor.readVarint()
    const key = cursor.skipBytes()
    const keyStart = cursor.at - Math.max(0, key)
    const value = cursor.skipBytes()
    const valueStart = cursor.at - Math.max(0, value)
    const headers = readHeaders(cursor)
    if (cursor.at !== end) throw new RangeError(`record ${i} does not have its declared length`)
    const offset = baseOffset + offsetDelta
    // The position of the partition and its commits follow the offsets of records.
    if (offset < earliest || offset >= nextOffset)
      throw new RangeError(`record ${i} has the offset ${offset}`)
    earliest = offset + 1
    const timestampMs = appendTimeMs ?? baseTimestampMs + timestampDeltaMs
    records.push(new BatchRecord(offset, timestampMs, headers, bytes, keyStart, key, valueStart, value))
  }
  if (cursor.at !== bytes.length) throw new RangeError(`more than the ${recordCount} declared records follow`)
  return records
}

/**
 * A record whose key and value become Buffers only when they are read. Thousands of decoded records wait for their chunk,
 * and Buffers are what costs the garbage collector most.
 */
class BatchRecord implements SourceRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly headers: RecordHeaders
  readonly #bytes: Buffer
  readonly #keyStart: number
  /** -1: there is no key. */
  readonly #keyBytes: number
  readonly #valueStart: number
  /** -1: there is no value. */
  readonly #valueBytes: number

  constructor(
    offset: number,
    timestampMs: number,
    headers: RecordHeaders,
    bytes: Buffer,
    keyStart: number,
    keyBytes: number,
    valueStart: number,
    valueBytes: number,
  ) {
    this.offset = offset
    this.timestampMs = timestampMs
    this.headers = headers
    this.#bytes = bytes
    this.#keyStart = keyStart
    this.#keyBytes = keyBytes
    this.#valueStart = valueStart
    this.#valueBytes = valueBytes
  }

  get key(): Buffer | null {
    if (this.#keyBytes < 0) return null
    return this.#bytes.subarray(this.#keyStart, this.#keyStart + this.#keyBytes)
  }

  get value(): Buffer | null {
    if (this.#valueBytes < 0) return null
    return this.#bytes.subarray(this.#valueStart, this.#valueStart + this.#valueBytes)
  }
}

const NO_HEADERS: RecordHeaders = Object.freeze({})

function readHeaders(cursor: Cursor): RecordHeaders {
  const count = cursor.readVarint()
  if (count === 0) return NO_HEADERS
  const headers: Record<string, Buffer | null | (Buffer | null)[]> = Object.create(null)
  for (let i = 0; i < count; i++) {
    const name = cursor.readBytes()?.toString('utf8') ?? ''
    const value = cursor.readBytes()
    const present = headers[name]
    if (present === undefined) headers[name] = value
    else if (Array.isArray(present)) present.push(value)
    else headers[name] = [present, value]
  }
  return headers
}

/** Reads Kafka's variable-length numbers, and the fields whose lengths they declare. */
class Cursor {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Zigzag varint or varlong, exact up to 2^53. */
  readVarint(): number {
    const bytes = this.#bytes
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[this.at++]
      if (byte === undefined) throw new RangeError('the bytes end within a number')
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1)
    }
    let value = low
    for (let factor = 2 ** 28; factor <= 2 ** 63; factor *= 128) {
      const byte = bytes[this.at++]
      if (byte === undefined) throw new RangeError('the bytes end within a number')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return low % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new RangeError('a number of more than ten bytes')
  }

  readLength(): number {
    const length = this.readVarint()
    if (length < 0) throw new RangeError('a record of negative length')
    return length
  }

  /** Moves past a field. @returns its length; negative: the field is null. */
  skipBytes(): number {
    const length = this.readVarint()
    if (length > 0) this.at += length
    if (this.at > this.#bytes.length) throw new RangeError('the bytes end within a field')
    return length
  }

  /** null: a length of -1. */
  readBytes(): Buffer | null {
    const length = this.skipBytes()
    return length < 0 ? null : this.#bytes.subarray(this.at - length, this.at)
  }
}

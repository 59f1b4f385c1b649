import { createRequire } from 'node:module'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { crc32c } from '../../../cache-service/kafka/crc32c.ts'

export type RecordToEncode = {
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Its place in the batch where it is left out. */
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly headers?: readonly (readonly [name: string, value: Buffer | null])[]
}

export type BatchToEncode = {
  readonly baseOffset?: number
  readonly baseMs?: number
  /** The broker's time stands for each record's. */
  readonly appendTimeMs?: number
  readonly records: readonly RecordToEncode[]
  /** That of the last record, or 0, where it is left out. */
  readonly lastOffsetDelta?: number
  readonly codec?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly isControl?: boolean
  readonly isTransactional?: boolean
  readonly producerId?: number
}

const COMPRESSORS = {
  none: { type: 0, compress: (bytes: Buffer) => bytes },
  gzip: { type: 1, compress: (bytes: Buffer) => gzipSync(bytes) },
  snappy: { type: 2, compress: (bytes: Buffer) => compressSync(bytes) },
  lz4: { type: 3, compress: (bytes: Buffer) => compressFrameSync(bytes) },
  zstd: { type: 4, compress: (bytes: Buffer) => zstdCompressSync(bytes) },
}

type Encoder = {
  readonly buffer: Buffer
  size(): number
  writeInt8(value: number): Encoder
  writeVarInt(value: number): Encoder
  writeVarLong(value: unknown): Encoder
  writeVarIntString(value: string): Encoder
  writeVarIntBytes(value: Buffer | null): Encoder
}
const require = createRequire(import.meta.url)
const EncoderClass = require('kafkajs/src/protocol/encoder') as new () => Encoder

/** A record batch as a broker stores it, with KafkaJS's encoding of numbers. */
export function encodeBatch(batch: BatchToEncode): Buffer {
  const { appendTimeMs, baseMs = 0, baseOffset = 0, codec = 'none', records } = batch
  const { compress, type } = COMPRESSORS[codec]
  const body = compress(Buffer.concat(records.map((record, i) => encodeRecord(record, i))))
  const header = Buffer.alloc(61)
  header.writeBigInt64BE(BigInt(baseOffset), 0)
  header.writeInt32BE(header.length - 12 + body.length, 8)
  header.writeInt8(2, 16)
  const flags =
    (appendTimeMs === undefined ? 0 : 0x08) |
    (batch.isTransactional ? 0x10 : 0) |
    (batch.isControl ? 0x20 : 0)
  header.writeInt16BE(type | flags, 21)
  header.writeInt32BE(
    batch.lastOffsetDelta ?? Math.max(0, (records.at(-1)?.offsetDelta ?? records.length) - 1),
    23,
  )
  header.writeBigInt64BE(BigInt(baseMs), 27)
  header.writeBigInt64BE(BigInt(appendTimeMs ?? baseMs), 35)
  header.writeBigInt64BE(BigInt(batch.producerId ?? -1), 43)
  header.writeInt16BE(-1, 51)
  header.writeInt32BE(-1, 53)
  header.writeInt32BE(records.length, 57)
  return withChecksum(Buffer.concat([header, body]))
}

/** Changes the checksum of a batch to that of its bytes: they were sent like this. */
export function withChecksum(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

function encodeRecord(
  { headers = [], key, offsetDelta, timestampDelta = 0, value }: RecordToEncode,
  i: number,
): Buffer {
  const body = new EncoderClass()
    .writeInt8(0)
    .writeVarLong(timestampDelta)
    .writeVarInt(offsetDelta ?? i)
    .writeVarIntBytes(key)
    .writeVarIntBytes(value)
    .writeVarInt(headers.length)
  for (const [name, bytes] of headers) body.writeVarIntString(name).writeVarIntBytes(bytes)
  return Buffer.concat([new EncoderClass().writeVarInt(body.size()).buffer, body.buffer])
}

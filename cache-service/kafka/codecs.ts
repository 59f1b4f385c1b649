import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import * as lz4 from 'lz4-napi'
import * as snappy from 'snappy'
import { lz4FrameBound } from './lz4-frame.ts'

/**
 * The compressions of Kafka's record batches.
 *
 * Snappy has two formats: librdkafka (Python, Go, C) writes one raw block, Java writes xerial frames. Native snappy
 * made the whole consumer 1.3–1.6 times as fast as a JavaScript implementation.
 */
export const CODEC_NAMES = ['gzip', 'snappy', 'lz4', 'zstd'] as const
export type CodecName = (typeof CODEC_NAMES)[number]

/**
 * What a batch may unpack to. A block that declares more is corrupt, or an attack. A batch of 1 MiB, which is what brokers
 * accept by default, unpacks to a few MiB of JSON. Decompressing takes up to three times as much memory as the result:
 * with a limit of 256 MiB, a batch of 8 KB cost 1.1 GiB, more than a container has, and again after each restart.
 */
const MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024
const TOO_MANY_BYTES = `more than ${MAX_DECOMPRESSED_BYTES} bytes`

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

const limits = { maxOutputLength: MAX_DECOMPRESSED_BYTES }
const gunzipAsync = promisify((buffer: Buffer, done: (e: Error | null, b: Buffer) => void) =>
  gunzip(buffer, limits, done),
)
const unzstdAsync = promisify((buffer: Buffer, done: (e: Error | null, b: Buffer) => void) =>
  zstdDecompress(buffer, limits, done),
)

const decompressors: Readonly<Record<CodecName, (packed: Buffer) => Buffer | Promise<Buffer>>> = {
  gzip: gunzipAsync,
  snappy: decompressSnappy,
  lz4: decompressLz4,
  zstd: unzstdAsync,
}

/** Rejects if the bytes are corrupt, or would unpack to more than 64 MiB. */
export async function decompress(codec: CodecName, packed: Buffer): Promise<Buffer> {
  return await decompressors[codec](packed)
}

/** Synchronous: blocks are small, and a round trip to a worker thread costs more than the decompression. */
export function decompressSnappy(buffer: Buffer): Buffer {
  if (!buffer.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return decompressBlock(buffer)
  if (buffer.length < XERIAL_HEADER_BYTES) throw new Error('snappy: truncated xerial header')
  const blocks: Buffer[] = []
  let total = 0
  for (let at = XERIAL_HEADER_BYTES; at < buffer.length;) {
    const end = at + 4 + (at + 4 <= buffer.length ? buffer.readUInt32BE(at) : buffer.length)
    if (end > buffer.length) throw new Error('snappy: truncated xerial block')
    const block = decompressBlock(buffer.subarray(at + 4, end))
    total += block.length
    if (total > MAX_DECOMPRESSED_BYTES) throw new Error(`snappy: the frames decompress to ${TOO_MANY_BYTES}`)
    blocks.push(block)
    at = end
  }
  return Buffer.concat(blocks, total)
}

async function decompressLz4(buffer: Buffer): Promise<Buffer> {
  if (lz4FrameBound(buffer) > MAX_DECOMPRESSED_BYTES)
    throw new Error(`lz4: the frame could decompress to ${TOO_MANY_BYTES}`)
  return await lz4.decompressFrame(buffer)
}

function decompressBlock(block: Buffer): Buffer {
  if (declaredLength(block) > MAX_DECOMPRESSED_BYTES)
    throw new Error(`snappy: a block declares ${TOO_MANY_BYTES}`)
  return snappy.uncompressSync(block, { asBuffer: true }) as Buffer
}

/** A raw block starts with its uncompressed length, a varint of up to 32 bits. */
function declaredLength(block: Buffer): number {
  let length = 0
  for (let i = 0; i < 5; i++) {
    const byte = block[i]
    if (byte === undefined) break
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return length
  }
  throw new Error('snappy: a block has no valid length')
}

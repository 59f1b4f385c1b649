// Compresses batches as other clients do, without the service's own codecs. KafkaJS has one table of codecs per
// process, so a producer installs the codec that it needs just before it sends.

import { promisify } from 'node:util'
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { compressSync, uncompressSync } from 'snappy'

const { CompressionCodecs, CompressionTypes } = kafkajs

export const WIRE_CODECS = ['none', 'gzip', 'raw_snappy', 'xerial_snappy', 'lz4', 'zstd'] as const
export type WireCodec = (typeof WIRE_CODECS)[number]

type Kind = {
  readonly type: 1 | 2 | 3 | 4
  compress(bytes: Buffer): Promise<Buffer>
  decompress(bytes: Buffer): Promise<Buffer>
}

const KINDS: Readonly<Record<Exclude<WireCodec, 'none'>, Kind>> = {
  gzip: { type: CompressionTypes.GZIP, compress: promisify(gzip), decompress: promisify(gunzip) },
  raw_snappy: {
    type: CompressionTypes.Snappy,
    compress: async (bytes) => compressSync(bytes),
    decompress: unsnapped,
  },
  xerial_snappy: {
    type: CompressionTypes.Snappy,
    compress: async (bytes) => xerialFrames(bytes),
    decompress: unsnapped,
  },
  lz4: { type: CompressionTypes.LZ4, compress: (bytes) => compressFrame(bytes), decompress: decompressFrame },
  zstd: {
    type: CompressionTypes.ZSTD,
    compress: promisify(zstdCompress),
    decompress: promisify(zstdDecompress),
  },
}

/** Returns the value to pass to `producer.send` as `compression`. */
export function installWireCodec(codec: WireCodec): kafkajs.CompressionTypes {
  if (codec === 'none') return CompressionTypes.None
  const { type, compress, decompress } = KINDS[codec]
  CompressionCodecs[type] = () => ({
    compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
    decompress,
  })
  return type
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_VERSIONS = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])
const XERIAL_BLOCK_BYTES = 32 * 1024

/** The format of Java's SnappyOutputStream: magic, version, lowest compatible version, then blocks with lengths. */
function xerialFrames(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [XERIAL_MAGIC, XERIAL_VERSIONS]
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = compressSync(bytes.subarray(at, at + XERIAL_BLOCK_BYTES))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

async function unsnapped(bytes: Buffer): Promise<Buffer> {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return asBuffer(uncompressSync(bytes))
  const blocks: Buffer[] = []
  let at = XERIAL_MAGIC.length + XERIAL_VERSIONS.length
  while (at < bytes.length) {
    const end = at + 4 + bytes.readUInt32BE(at)
    blocks.push(asBuffer(uncompressSync(bytes.subarray(at + 4, end))))
    at = end
  }
  return Buffer.concat(blocks)
}

function asBuffer(data: string | Buffer): Buffer {
  return Buffer.from(data)
}

// Compresses batches as other clients do, without the service's own codecs. KafkaJS has one table of codecs per
// process, so a producer installs the codec that it needs just before it sends.

import { promisify } from 'node:util'
import { gunzip, gzip, zstdCompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame } from 'lz4-napi'
import { compressSync } from 'snappy'

const { CompressionCodecs, CompressionTypes } = kafkajs

export const WIRE_CODECS = ['none', 'gzip', 'raw_snappy', 'xerial_snappy', 'lz4', 'zstd'] as const
export type WireCodec = (typeof WIRE_CODECS)[number]

type Kind = { readonly type: 1 | 2 | 3 | 4; compress(bytes: Buffer): Promise<Buffer> }

const KINDS: Readonly<Record<Exclude<WireCodec, 'none'>, Kind>> = {
  gzip: { type: CompressionTypes.GZIP, compress: (bytes) => promisify(gzip)(bytes) },
  raw_snappy: { type: CompressionTypes.Snappy, compress: async (bytes) => compressSync(bytes) },
  xerial_snappy: { type: CompressionTypes.Snappy, compress: async (bytes) => xerialFrames(bytes) },
  lz4: { type: CompressionTypes.LZ4, compress: (bytes) => compressFrame(bytes) },
  zstd: { type: CompressionTypes.ZSTD, compress: (bytes) => promisify(zstdCompress)(bytes) },
}

/** Returns the value to pass to `producer.send` as `compression`. */
export function installWireCodec(codec: WireCodec): kafkajs.CompressionTypes {
  if (codec === 'none') return CompressionTypes.None
  const { type, compress } = KINDS[codec]
  CompressionCodecs[type] = () => ({
    compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
    // Only dead letters are read, and they are compressed with gzip.
    decompress: (bytes: Buffer) => promisify(gunzip)(bytes),
  })
  return type
}

const XERIAL_BLOCK_BYTES = 32 * 1024

/** The format of Java's SnappyOutputStream: magic, version, lowest compatible version, then blocks with lengths. */
function xerialFrames(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]),
  ]
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = compressSync(bytes.subarray(at, at + XERIAL_BLOCK_BYTES))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

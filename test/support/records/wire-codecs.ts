// Batches as other clients compress them, written without the service's own codecs. KafkaJS has one table of
// codecs per process, so a producer installs what it needs just before it sends.

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

/** Returns what to give `producer.send` as its `compression`. */
export function installWireCodec(codec: WireCodec): kafkajs.CompressionTypes {
  if (codec === 'none') return CompressionTypes.None
  const { type, compress } = KINDS[codec]
  CompressionCodecs[type] = () => ({
    compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
    // Dead letters are read in gzip; nothing is in any other codec.
    decompress: (bytes: Buffer) => promisify(gunzip)(bytes),
  })
  return type
}

const XERIAL_BLOCK_BYTES = 32 * 1024

/** As Java's SnappyOutputStream: magic, version and lowest compatible version, then blocks with their length. */
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

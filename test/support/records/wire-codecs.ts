// Compresses batches as other clients do, without the service's own codecs; only what tests read back is unpacked by those. KafkaJS
// has one table of codecs per process, so a producer installs the codec that it needs just before it sends.

import { promisify } from 'node:util'
import { gzip, zstdCompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame } from 'lz4-napi'
import { compressSync } from 'snappy'
import { decompress, type CodecName } from '../../../cache-service/kafka/codecs.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs

export const WIRE_CODECS = ['none', 'gzip', 'raw_snappy', 'xerial_snappy', 'lz4', 'zstd'] as const
export type WireCodec = (typeof WIRE_CODECS)[number]

type Kind = {
  readonly type: 1 | 2 | 3 | 4
  readonly name: CodecName
  compress(bytes: Buffer): Promise<Buffer>
}

const KINDS: Readonly<Record<Exclude<WireCodec, 'none'>, Kind>> = {
  gzip: { type: CompressionTypes.GZIP, name: 'gzip', compress: promisify(gzip) },
  raw_snappy: {
    type: CompressionTypes.Snappy,
    name: 'snappy',
    compress: async (bytes) => compressSync(bytes),
  },
  xerial_snappy: {
    type: CompressionTypes.Snappy,
    name: 'snappy',
    compress: async (bytes) => xerialFrames(bytes),
  },
  lz4: { type: CompressionTypes.LZ4, name: 'lz4', compress: (bytes) => compressFrame(bytes) },
  zstd: { type: CompressionTypes.ZSTD, name: 'zstd', compress: promisify(zstdCompress) },
}

/** Returns the value to pass to `producer.send` as `compression`. */
export function installWireCodec(codec: WireCodec): kafkajs.CompressionTypes {
  if (codec === 'none') return CompressionTypes.None
  const { type, name, compress } = KINDS[codec]
  CompressionCodecs[type] = () => ({
    compress: (encoder: { buffer: Buffer }) => compress(encoder.buffer),
    decompress: (packed: Buffer) => decompress(name, packed),
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

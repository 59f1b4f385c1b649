// How a record written by librdkafka (confluent-kafka for Python) differs from one written by KafkaJS: the choice of
// the partition, and snappy without the framing that Java clients add.

import { crc32 } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressSync, uncompressSync } from 'snappy'

const { CompressionCodecs, CompressionTypes } = kafkajs

/** librdkafka's `consistent` partitioner; for keys that are not empty, also its default, `consistent_random`. */
export function librdkafkaPartition(key: string | Buffer, partitions: number): number {
  return crc32(key) % partitions
}

type Codec = {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}

/**
 * Makes every KafkaJS producer of this process write snappy as librdkafka does: one raw block. KafkaJS has one table of
 * codecs per process, so reading still uses the codec that was installed before, if any.
 */
export function installRawSnappyProducerCodec(): void {
  const before: unknown = CompressionCodecs[CompressionTypes.Snappy]
  if (before === rawSnappyOver) return
  reader = registeredCodec(before)
  CompressionCodecs[CompressionTypes.Snappy] = rawSnappyOver
}

let reader: Codec | null = null

function rawSnappyOver(): Codec {
  return {
    compress: async (encoder) => compressSync(encoder.buffer),
    decompress: async (buffer) => reader?.decompress(buffer) ?? asBuffer(uncompressSync(buffer)),
  }
}

/** KafkaJS's own entry for snappy throws when called; it means "none". */
function registeredCodec(factory: unknown): Codec | null {
  try {
    return typeof factory === 'function' ? (factory() as Codec) : null
  } catch {
    return null
  }
}

function asBuffer(data: string | Buffer): Buffer {
  return Buffer.from(data)
}

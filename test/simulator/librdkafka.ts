// What tells a record written by librdkafka (confluent-kafka for Python) from one that KafkaJS writes:
// the partition, and snappy without the framing that Java's clients add.

import { crc32 } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressSync, uncompressSync } from 'snappy'

const { CompressionCodecs, CompressionTypes } = kafkajs

/** librdkafka's `consistent` partitioner; for a key that isn't empty also its default, `consistent_random`. */
export function librdkafkaPartition(key: string | Buffer, partitions: number): number {
  return crc32(key) % partitions
}

type Codec = {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}

/**
 * Makes every KafkaJS producer of this process write snappy as librdkafka does: one raw block. KafkaJS has one
 * table of codecs per process: reading stays with the codec that was there before, if there was one.
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

/** KafkaJS's own entry for snappy throws when called: it stands for "none". */
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

import { zstdCompressSync } from 'node:zlib'
import kafkajs, { type Kafka } from 'kafkajs'

const { CompressionCodecs, CompressionTypes } = kafkajs

/**
 * Sends a batch of one record of which the broker sees a few KB, and a consumer `valueBytes` zeros. KafkaJS writes the
 * header, and the codec replaces what follows. @returns the offset.
 */
export async function sendCompressionBomb(
  kafka: Kafka,
  { topic, partition, valueBytes }: { topic: string; partition: number; valueBytes: number },
): Promise<number> {
  const compressed = zstdCompressSync(recordOfZeros(valueBytes))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async () => compressed,
    decompress: async (bytes: Buffer) => bytes,
  })
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    const [sent] = await producer.send({
      topic,
      acks: -1,
      compression: CompressionTypes.ZSTD,
      messages: [{ partition, value: Buffer.from('replaced') }],
    })
    return Number(sent?.baseOffset)
  } finally {
    await producer.disconnect()
  }
}

function recordOfZeros(valueBytes: number): Buffer {
  // Attributes, timestamp delta, offset delta, no key; the value; no headers.
  const before = Buffer.concat([Buffer.of(0, 0, 0, 1), varint(valueBytes)])
  const after = Buffer.of(0)
  const length = before.length + valueBytes + after.length
  return Buffer.concat([varint(length), before, Buffer.alloc(valueBytes), after])
}

/** Zigzag. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value * 2
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

import kafkajs from 'kafkajs'
import { decompressSnappy } from '../../cache-service/kafka/codecs.ts'

/** The ceiling: KafkaJS reads the same topic with the worker's settings and does nothing with the records. */
const [brokers = '', topic = '', groupId = '', expected = '0'] = process.argv.slice(2)
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.Snappy] = () => ({
  compress: () => Promise.reject(new Error('this program only reads')),
  decompress: async (packed: Buffer) => decompressSnappy(packed),
})
const kafka = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING })
const consumer = kafka.consumer({
  groupId,
  maxBytes: 4_194_304,
  maxBytesPerPartition: 524_288,
  maxWaitTimeInMs: 1000,
})
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
let read = 0
let first = 0
let startedMs = 0
const { promise: done, resolve } = Promise.withResolvers<void>()
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, resolveOffset }) => {
    if (startedMs === 0) {
      startedMs = performance.now()
      first = batch.messages.length
    }
    read += batch.messages.length
    resolveOffset(batch.lastOffset())
    if (read >= Number(expected)) resolve()
  },
})
await done
const rate = ((read - first) * 1000) / (performance.now() - startedMs)
const cpu = process.cpuUsage()
process.stdout.write(`${JSON.stringify({ rate, cpuUs: (cpu.user + cpu.system) / read })}\n`)
await consumer.disconnect()

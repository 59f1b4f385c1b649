import kafkajs from 'kafkajs'
import { decompressSnappy } from '../../../cache-service/kafka/codecs.ts'

/**
 * The ceiling: KafkaJS reads the same topic with the worker's settings, and either discards the values or parses them as
 * JSON, which is the least that a consumer has to do that must know what it reads.
 */
const [brokers = '', topic = '', groupId = '', expected = '0', parses = ''] = process.argv.slice(2)
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
let cpuBefore = process.cpuUsage()
const { promise: done, resolve } = Promise.withResolvers<void>()
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, resolveOffset }) => {
    if (startedMs === 0) {
      startedMs = performance.now()
      cpuBefore = process.cpuUsage()
      first = batch.messages.length
    }
    if (parses === 'json') {
      for (const { value } of batch.messages) JSON.parse(value?.toString() ?? 'null')
    }
    read += batch.messages.length
    resolveOffset(batch.lastOffset())
    if (read >= Number(expected)) resolve()
  },
})
await done
const rate = ((read - first) * 1000) / (performance.now() - startedMs)
const cpu = process.cpuUsage(cpuBefore)
process.stdout.write(`${JSON.stringify({ rate, cpuUs: (cpu.user + cpu.system) / (read - first) })}\n`)
await consumer.disconnect()

import { Redis } from 'ioredis'
import kafkajs from 'kafkajs'
import { startKafka, startRedis } from '../support/servers/servers.ts'
import { createTopic, uniqueName, useRedisDatabase } from '../support/test-scope.ts'

const { Kafka, logLevel } = kafkajs
const PARTITIONS = 3

/** Kafka with its topics, and Redis. */
export type Platform = {
  brokers: readonly string[]
  topic: string
  errorTopic: string
  group: string
  redisUrl: string
  redis: Redis
}

/** A server that was running before and must be left as it was. */
const isShared = (server: { kind: string }) => server.kind === 'environment'

export type StartedServers = Awaited<ReturnType<typeof startServers>>

export async function startServers(running: AsyncDisposableStack) {
  const [kafka, redis] = await Promise.allSettled([startKafka(), startRedis()])
  if (kafka.status === 'fulfilled') running.defer(kafka.value.stop)
  if (redis.status === 'fulfilled') running.defer(redis.value.stop)
  if (kafka.status === 'rejected') throw kafka.reason
  if (redis.status === 'rejected') throw redis.reason
  return { kafka: kafka.value, redis: redis.value }
}

/** On our own servers, the names of the platform; on shared ones, unique names and a database that is not in use. */
export async function preparePlatform(
  { kafka, redis }: StartedServers,
  running: AsyncDisposableStack,
): Promise<Platform> {
  const name = (text: string) => (isShared(kafka) ? uniqueName(`demo_${text}`) : text)
  const [topic, errorTopic, group] = [
    name('iot_validated_data'),
    name('iot_errors'),
    name('cache_service_group'),
  ]
  const { brokers } = kafka
  if (isShared(kafka)) running.defer(() => removeFromKafka(brokers, [topic, errorTopic], group))
  await createTopic(brokers, topic, { partitions: PARTITIONS })
  await createTopic(brokers, errorTopic)

  if (isShared(redis)) {
    const database = await useRedisDatabase(redis.url)
    running.defer(database.release)
    return { brokers, topic, errorTopic, group, redisUrl: database.url, redis: database.client }
  }
  const client = new Redis(redis.url)
  client.on('error', () => undefined)
  running.defer(() => client.disconnect())
  return { brokers, topic, errorTopic, group, redisUrl: redis.url, redis: client }
}

async function removeFromKafka(
  brokers: readonly string[],
  topics: readonly string[],
  group: string,
): Promise<void> {
  const admin = new Kafka({ clientId: 'demo', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    await admin.deleteTopics({ topics: [...topics] })
    // The group does not exist if the worker never joined.
    await admin.deleteGroups([group]).catch(() => undefined)
  } finally {
    await admin.disconnect()
  }
}

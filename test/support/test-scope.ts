import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import kafkajs, { type KafkaConfig } from 'kafkajs'
import { eventually, patiently } from './eventually.ts'

const { Kafka, logLevel } = kafkajs

/** A name that no other test uses, for topics, groups and key prefixes. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`
}

export type TopicOptions = {
  partitions?: number
  replicationFactor?: number
  config?: Readonly<Record<string, string>>
  client?: Pick<KafkaConfig, 'ssl' | 'sasl'>
}

/** Resolves when every partition has a leader that knows that it leads. */
export async function createTopic(
  brokers: readonly string[],
  topic: string,
  { partitions = 1, replicationFactor = 1, config = {}, client = {} }: TopicOptions = {},
): Promise<void> {
  const kafka = new Kafka({
    clientId: 'test-admin',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    ...client,
  })
  const admin = kafka.admin()
  await admin.connect()
  try {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const created = { topic, numPartitions: partitions, replicationFactor, configEntries }
    // KafkaJS's own wait for leaders fails if a broker does not know the topic yet.
    await admin.createTopics({ topics: [created], waitForLeaders: false })
    await patiently(async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const led = topics.flatMap((found) => found.partitions).filter(({ leader }) => leader >= 0)
      if (led.length !== partitions)
        throw new Error(`${led.length} of ${partitions} partitions have a leader`)
      // The metadata is ahead of the brokers, which may still be creating their logs.
      await admin.fetchTopicOffsets(topic)
    })
  } finally {
    await admin.disconnect()
  }
}

export type RedisDatabase = {
  /** Includes the database number. */
  url: string
  db: number
  client: Redis
  /** Empties the database and makes it available to others. */
  release(): Promise<void>
}

const FIRST_DATABASE = 1
const LAST_DATABASE = 15
const LEASE_SECONDS = 15 * 60

/** Leases an empty database (1 to 15) of a shared Redis to one test or file. Database 0 holds the leases. */
export async function useRedisDatabase(url: string): Promise<RedisDatabase> {
  const leases = connect(url, 0)
  try {
    const db = await eventually(() => leaseDatabase(leases), {
      timeoutMs: 30_000,
      everyMs: 200,
      describe: 'leasing a Redis database',
    })
    const client = connect(url, db)
    await client.flushdb()
    const databaseUrl = new URL(url)
    databaseUrl.pathname = `/${db}`
    return {
      url: databaseUrl.href,
      db,
      client,
      release: async () => {
        await client.flushdb()
        await leases.del(leaseKey(db))
        client.disconnect()
        leases.disconnect()
      },
    }
  } catch (error) {
    leases.disconnect()
    throw error
  }
}

function connect(url: string, db: number): Redis {
  const client = new Redis(url, { db })
  client.on('error', () => undefined)
  return client
}

async function leaseDatabase(leases: Redis): Promise<number> {
  for (let db = FIRST_DATABASE; db <= LAST_DATABASE; db++) {
    if ((await leases.set(leaseKey(db), process.pid, 'EX', LEASE_SECONDS, 'NX')) === 'OK') return db
  }
  throw new Error(`the databases ${FIRST_DATABASE} to ${LAST_DATABASE} are all in use`)
}

function leaseKey(db: number): string {
  return `test:database:${db}`
}

import { existsSync } from 'node:fs'
import { Redis, type RedisOptions } from 'ioredis'
import kafkajs, { type KafkaConfig } from 'kafkajs'
import { expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import {
  reserveOwnKafka,
  reserveOwnKafkaCluster,
  startOwnKafka,
  startOwnRedis,
  type KafkaSecurity,
  type OwnKafka,
  type OwnKafkaOptions,
  type OwnRedisOptions,
} from '../support/servers/servers.ts'
import { createTopic, uniqueName, useRedisDatabase } from '../support/test-scope.ts'

const { Kafka, logLevel } = kafkajs

test('the shared servers answer, and a created topic is ready', async () => {
  const topic = uniqueName('topic')
  await createTopic(inject('kafkaBrokers'), topic, { partitions: 3 })
  const admin = await openAdmin(inject('kafkaBrokers'))
  expect(await admin.listTopics()).toContain(topic)
})

test('two leases of the shared Redis get different databases, and a released database is empty', async () => {
  const first = await useRedisDatabase(inject('redisUrl'))
  const second = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => second.release())
  await first.client.set('key', 'first')
  expect(await second.client.get('key')).toBeNull()
  await first.release()
  const watcher = openRedis(first.url, {})
  expect(await watcher.dbsize()).toBe(0)
})

test('an own Redis that is killed and restarted keeps its port and, with appendonly, its data', async () => {
  const redis = await ownRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const client = openRedis(redis.url, {})
  await client.set('key', 'kept')
  const firstPid = redis.pid
  await redis.kill('SIGKILL')
  expect(redis.isRunning).toBe(false)
  await redis.restart()
  expect(redis.pid).not.toBe(firstPid)
  expect(await eventually(() => client.get('key'))).toBe('kept')
})

test('stopping an own Redis removes its folder', async () => {
  const redis = await startOwnRedis()
  expect(existsSync(redis.folder)).toBe(true)
  await redis.stop()
  expect(existsSync(redis.folder)).toBe(false)
  expect(redis.isRunning).toBe(false)
})

test('an own Redis with a password and an ACL user refuses everything else', async () => {
  const redis = await ownRedis({ password: 'secret', aclUsers: { reader: 'on >reading ~* +@read +ping' } })
  expect(await openRedis(redis.url, {}).ping()).toBe('PONG')
  const stranger = openRedis(`redis://127.0.0.1:${redis.port}`, { enableReadyCheck: false })
  await expect(stranger.get('key')).rejects.toThrow('NOAUTH')
  const reader = openRedis(`redis://127.0.0.1:${redis.port}`, {
    username: 'reader',
    password: 'reading',
    enableReadyCheck: false,
  })
  await expect(reader.set('key', 'value')).rejects.toThrow('NOPERM')
  expect(await reader.get('key')).toBeNull()
})

test('an own Redis with mutual TLS accepts only clients with its CA and a certificate', async () => {
  const redis = await ownRedis({ tls: 'mutual' })
  const { ca = '', clientCertificate: cert = '', clientKey: key = '' } = redis.tls ?? {}
  expect(redis.url).toMatch(/^rediss:/)
  expect(await openRedis(redis.url, { tls: { ca, cert, key } }).ping()).toBe('PONG')
  const withoutCa = openRedis(redis.url, { tls: { cert, key } })
  await expect(withoutCa.ping()).rejects.toThrow()
  const withoutCertificate = openRedis(redis.url, { tls: { ca } })
  await expect(withoutCertificate.ping()).rejects.toThrow()
})

test('an own Kafka keeps its topics when it is restarted and when it is killed', async () => {
  const kafka = await ownKafka({})
  const topic = uniqueName('topic')
  await createTopic(kafka.brokers, topic, { partitions: 2 })
  await kafka.restart()
  expect(await (await openAdmin(kafka.brokers)).listTopics()).toContain(topic)
  await kafka.kill('SIGKILL')
  await kafka.restart()
  expect(await (await openAdmin(kafka.brokers)).listTopics()).toContain(topic)
})

test('a reserved Kafka has an address before it is started', async () => {
  const kafka = await reserveOwnKafka()
  onTestFinished(() => kafka.stop())
  await expect(openAdmin(kafka.brokers)).rejects.toThrow('ECONNREFUSED')
  await kafka.start()
  await openAdmin(kafka.brokers)
})

test.for<KafkaSecurity>(['tls', 'sasl_plain', 'sasl_scram_256', 'sasl_scram_512', 'sasl_tls'])(
  'an own Kafka with %s accepts authorised clients and refuses others',
  async (security) => {
    const kafka = await ownKafka({ security })
    const admin = await openAdmin(kafka.brokers, kafka.client)
    expect(await admin.listTopics()).toEqual([])
    const { sasl, ssl } = kafka.client
    if (sasl !== undefined && 'password' in sasl) {
      const impostor: Pick<KafkaConfig, 'ssl' | 'sasl'> = {
        ...kafka.client,
        sasl: { ...sasl, password: 'no' },
      }
      await expect(openAdmin(kafka.brokers, impostor)).rejects.toThrow(/SASL|auth/i)
    }
    if (ssl !== undefined) {
      const withoutCa = { ...kafka.client, ssl: true }
      await expect(openAdmin(kafka.brokers, withoutCa)).rejects.toThrow(/certificate/)
    }
    const stranger = openAdmin(kafka.brokers).then((opened) => opened.listTopics())
    await expect(stranger).rejects.toThrow()
  },
)

test('three brokers form a cluster that survives the loss of one', async () => {
  const brokers = await reserveOwnKafkaCluster(3)
  onTestFinished(async () => {
    await Promise.all(brokers.map((broker) => broker.stop()))
  })
  await Promise.all(brokers.map((broker) => broker.start()))
  const topic = uniqueName('topic')
  const addresses = brokers.flatMap((broker) => broker.brokers)
  await eventually(() => createTopic(addresses, topic, { partitions: 3, replicationFactor: 3 }))
  await brokers[0]?.kill('SIGKILL')
  await eventually(async () => {
    const admin = await openAdmin(addresses.slice(1))
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const leaders = topics.flatMap((found) => found.partitions.map(({ leader }) => leader))
    expect(leaders.every((leader) => leader === 2 || leader === 3)).toBe(true)
  })
})

async function ownRedis(options: OwnRedisOptions) {
  const redis = await startOwnRedis(options)
  onTestFinished(() => redis.stop())
  return redis
}

async function ownKafka(options: OwnKafkaOptions): Promise<OwnKafka> {
  const kafka = await startOwnKafka(options)
  onTestFinished(() => kafka.stop())
  return kafka
}

function openRedis(url: string, options: Omit<RedisOptions, 'replyMapping'>): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: () => 50, ...options })
  client.on('error', () => undefined)
  onTestFinished(() => client.disconnect())
  return client
}

async function openAdmin(brokers: readonly string[], security: Pick<KafkaConfig, 'ssl' | 'sasl'> = {}) {
  const kafka = new Kafka({
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    retry: { retries: 1, initialRetryTime: 50, maxRetryTime: 100 },
    ...security,
  })
  const admin = kafka.admin()
  onTestFinished(() => admin.disconnect())
  await admin.connect()
  return admin
}

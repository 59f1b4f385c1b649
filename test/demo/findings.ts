// Reads what the worker has written to Redis and to the error topic, as any other service would.

import type { Redis } from 'ioredis'
import kafkajs from 'kafkajs'
import { uniqueName } from '../support/test-scope.ts'

const { Kafka, logLevel } = kafkajs

export type DeviceRow = { deviceId: string; metadata: Readonly<Record<string, string>>; ttlSeconds: number }

/** Some devices of each family; the first two characters of an id show its family. */
export async function readSomeDevices(redis: Redis): Promise<{ total: number; rows: DeviceRow[] }> {
  const deviceIds = (await redis.smembers('devices')).toSorted()
  const families = Map.groupBy(deviceIds, (deviceId) => deviceId.slice(0, 2))
  const chosen = [...families.values()].flatMap((members) => members.slice(0, 2)).slice(0, 10)
  const rows = await Promise.all(
    chosen.map(async (deviceId) => {
      const key = `device:${deviceId}:metadata`
      return { deviceId, metadata: await redis.hgetall(key), ttlSeconds: await redis.ttl(key) }
    }),
  )
  return { total: deviceIds.length, rows }
}

const LOOKUPS = 100

/** Asks a hundred times in a row. Returns the answer and the median time. */
export async function lookUp(url: string): Promise<{ url: string; answer: string; milliseconds: number }> {
  const times: number[] = []
  let answer = ''
  for (let i = 0; i < LOOKUPS; i++) {
    const askedMs = performance.now()
    const response = await fetch(url)
    answer = await response.text()
    if (!response.ok) throw new Error(`${url} answered ${response.status}: ${answer}`)
    times.push(performance.now() - askedMs)
  }
  const median = times.toSorted((a, b) => a - b)[LOOKUPS / 2] ?? 0
  return { url, answer, milliseconds: median }
}

export type DeadLetter = {
  headers: Readonly<Record<string, string>>
  error: string
}

/** Prefers one whose fault is easy to see, among the first of the topic. */
export async function readDeadLetter(
  brokers: readonly string[],
  errorTopic: string,
  stop: AbortSignal,
): Promise<DeadLetter> {
  const kafka = new Kafka({ clientId: 'demo', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const groupId = uniqueName('demo_reader')
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 500 })
  const found = Promise.withResolvers<DeadLetter>()
  found.promise.catch(() => undefined)
  const giveUp = AbortSignal.any([stop, AbortSignal.timeout(20_000)])
  giveUp.addEventListener('abort', () => found.reject(giveUp.reason), { once: true })
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [errorTopic], fromBeginning: true })
    await consumer.run({
      eachBatch: async ({ batch }) => {
        const deadLetters = batch.messages.map((message) =>
          toDeadLetter(message.headers ?? {}, message.value),
        )
        const deadLetter =
          deadLetters.find(({ headers }) => headers['reason'] === 'bad_timestamp') ?? deadLetters[0]
        if (deadLetter !== undefined) found.resolve(deadLetter)
      },
    })
    return await found.promise
  } finally {
    await consumer.disconnect()
    const admin = kafka.admin()
    await admin.connect()
    await admin.deleteGroups([groupId]).catch(() => undefined)
    await admin.disconnect()
  }
}

function toDeadLetter(headers: Readonly<Record<string, unknown>>, value: Buffer | null): DeadLetter {
  const message: { error?: unknown } = JSON.parse(String(value))
  return {
    headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, String(header)])),
    error: String(message.error),
  }
}

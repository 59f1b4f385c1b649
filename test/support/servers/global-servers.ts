import type { TestProject } from 'vitest/node'
import { messageOf } from '../../../shared/errors.ts'
import { startKafka, startRedis, type KafkaServer, type RedisServer } from './servers.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    kafkaBrokers: string[]
    redisUrl: string
  }
}

declare global {
  // Each vitest project loads this file separately, in one process: they share only the global object.
  var testServers: { users: number; started: Promise<Servers> } | undefined
}

type Servers = { kafka: KafkaServer; redis: RedisServer }

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globalThis.testServers ??= { users: 0, started: startServers() })
  shared.users += 1
  const { kafka, redis } = await shared.started
  project.provide('kafkaBrokers', [...kafka.brokers])
  project.provide('redisUrl', redis.url)
  return async () => {
    shared.users -= 1
    if (shared.users > 0) return
    globalThis.testServers = undefined
    await Promise.all([kafka.stop(), redis.stop()])
  }
}

async function startServers(): Promise<Servers> {
  const [kafka, redis] = await Promise.allSettled([startKafka(), startRedis()])
  if (kafka.status === 'fulfilled' && redis.status === 'fulfilled') {
    return { kafka: kafka.value, redis: redis.value }
  }
  const reasons: unknown[] = []
  for (const outcome of [kafka, redis]) {
    if (outcome.status === 'fulfilled') await outcome.value.stop()
    else reasons.push(outcome.reason)
  }
  const messages = reasons.map(messageOf)
  throw new AggregateError(reasons, messages.join('\n'))
}

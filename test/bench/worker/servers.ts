import { startOwnKafka, startOwnRedis, type OwnKafka, type OwnRedis } from '../../support/servers/servers.ts'
import { Redis } from 'ioredis'
import type { ServiceProgram } from '../../support/processes/service-process.ts'
import { startWorker, type WorkerProcess } from '../../support/processes/worker-process.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'

export type BenchServers = {
  readonly kafka: OwnKafka
  readonly redis: OwnRedis
  /** An empty topic for dead letters. */
  readonly errorTopic: string
  stop(): Promise<void>
}

export async function startBenchServers(): Promise<BenchServers> {
  // Tests start faster with the first compiler only; a broker that runs for long uses both.
  const kafka = await startOwnKafka({ jvmArgs: ['-Xmx1g', '-XX:TieredStopAtLevel=4'] })
  const redis = await startOwnRedis()
  const errorTopic = uniqueName('errors')
  await createTopic(kafka.brokers, errorTopic)
  return {
    kafka,
    redis,
    errorTopic,
    async stop() {
      await redis.stop()
      await kafka.stop()
    },
  }
}

/** Starts workers of the topic, in a group of their own, on an empty Redis. */
export async function startBenchWorkers(
  { errorTopic, kafka, redis }: BenchServers,
  topic: string,
  env: Readonly<Record<string, string>>,
  program: ServiceProgram | undefined,
  count: number,
): Promise<WorkerProcess[]> {
  const client = new Redis(redis.url)
  await client.flushall()
  client.disconnect()
  const settings = {
    KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
    KAFKA_VALIDATED_DATA_TOPIC: topic,
    KAFKA_ERROR_TOPIC: errorTopic,
    KAFKA_CONSUMER_GROUP_ID: uniqueName('bench'),
    REDIS_URL: redis.url,
    ...env,
  }
  return await Promise.all(Array.from({ length: count }, () => startWorker(settings, program)))
}

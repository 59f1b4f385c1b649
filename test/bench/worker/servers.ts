import { startOwnKafka, startOwnRedis, type OwnKafka, type OwnRedis } from '../../support/servers/servers.ts'
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

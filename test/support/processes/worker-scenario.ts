import { Cluster, Redis, type RedisOptions } from 'ioredis'
import kafkajs, { type Admin, type Kafka } from 'kafkajs'
import { inject } from 'vitest'
import { createDeviceFleet, type FleetOptions } from '../../simulator/device-fleet.ts'
import { createAcknowledgedProducer } from '../records/acknowledged-producer.ts'
import { patiently } from '../eventually.ts'
import { Oracle } from '../oracle/oracle.ts'
import { startLoad, type Load, type LoadOptions } from '../records/record-load.ts'
import type { RedisCluster } from '../servers/redis-cluster.ts'
import { startOwnRedis, type OwnRedis, type OwnRedisOptions } from '../servers/servers.ts'
import { fromFleet, type TaggedRecord } from '../records/tagged-records.ts'
import { createTopic, uniqueName, useRedisDatabase, type TopicOptions } from '../test-scope.ts'
import type { WireCodec } from '../records/wire-codecs.ts'
import type { ServiceProgram } from './service-process.ts'
import { startWorker, type WorkerProcess } from './worker-process.ts'

/** What a scenario needs from the context of its test, `test('…', async (context) => …)`, or of its file. */
export type ScenarioContext = {
  onTestFinished(release: () => Promise<void> | void): void
  onTestFailed(report: () => void): void
}

export type ScenarioOptions = {
  readonly partitions?: number
  /** By default both topics are created. `false`: the test creates them. */
  readonly topic?: boolean
  readonly errorTopic?: boolean | TopicOptions['config']
  /** Of both topics. Default: 1. */
  readonly replicationFactor?: number
  /** Default: the shared Kafka. */
  readonly kafka?: { readonly brokers: readonly string[] }
  /** A Redis that the test may break: options, or an existing one. Default: a database of the shared Redis. */
  readonly ownRedis?: OwnRedisOptions | OwnRedis
  /** Options for the test's own client. */
  readonly redisClient?: Pick<
    RedisOptions,
    'username' | 'password' | 'tls' | 'sentinels' | 'name' | 'sentinelPassword'
  >
  /** Instead of one server. */
  readonly redisCluster?: RedisCluster
  /** For every worker; overrides the scenario's settings. */
  readonly env?: Readonly<Record<string, string>>
}

/** A topic, an error topic, a consumer group and a Redis for one test, and the oracle that knows its input. */
export type WorkerScenario = {
  readonly topic: string
  readonly errorTopic: string
  readonly group: string
  readonly partitions: number
  readonly kafka: Kafka
  readonly admin: Admin
  readonly redis: Redis
  readonly oracle: Oracle
  /** The environment of the workers. */
  readonly env: Readonly<Record<string, string>>
  readonly workers: readonly WorkerProcess[]
  /** Only with `ownRedis`. */
  readonly redisServer: OwnRedis
  createTopic(): Promise<void>
  createErrorTopic(config?: TopicOptions['config']): Promise<void>
  /** Deletes the topic; the test may then create another one with the same name. */
  deleteTopic(): Promise<void>
  /** The records of a device may then lie in two partitions. @param count of all partitions. */
  addPartitions(count: number): Promise<void>
  send(records: readonly TaggedRecord[], codec?: WireCodec): Promise<void>
  sendFleet(count: number, options: FleetOptions, codec?: WireCodec): Promise<void>
  startLoad(options: LoadOptions): Load
  /** @param how another release, or a worker that has the other roles as well. */
  startWorker(env?: Readonly<Record<string, string>>, how?: ServiceProgram | 'all'): Promise<WorkerProcess>
  /** Number of records consumed by the workers that are still running. */
  consumed(): Promise<number>
}

const METADATA_TTL_S = 86_400
const MAX_FUTURE_SKEW_S = 300
const SHOWN_LOG_LINES = 60
/** Of hashes that move with their slots, perhaps several times. */
const MIGRATED_SLACK_MS = 1_000

/**
 * Each test opens its own scenario. When the test is over, all running workers are stopped, and must exit with code 0.
 * Their output is shown if the test failed.
 */
export async function openWorkerScenario(
  context: ScenarioContext,
  options: ScenarioOptions = {},
): Promise<WorkerScenario> {
  const releases: (() => Promise<unknown>)[] = []
  const workers: WorkerProcess[] = []
  context.onTestFailed(() => {
    for (const worker of workers) process.stderr.write(describeWorker(worker))
  })
  context.onTestFinished(() => releaseAll(releases))

  const topic = uniqueName('validated')
  const errorTopic = uniqueName('errors')
  const group = uniqueName('group')
  const { partitions = 3, replicationFactor = 1 } = options
  const { brokers } = options.kafka ?? { brokers: inject('kafkaBrokers') }
  const kafka = new kafkajs.Kafka({
    clientId: 'test',
    brokers: [...brokers],
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const admin = kafka.admin()
  releases.push(() => admin.disconnect())
  const scenarioTopics = {
    createTopic: () => createTopic(brokers, topic, { partitions, replicationFactor }),
    createErrorTopic: (config: TopicOptions['config'] = {}) =>
      createTopic(brokers, errorTopic, { replicationFactor, config }),
  }
  const { redis, redisUrl, redisServer } = await openRedis(options, releases)

  const oracle = new Oracle({
    kafka,
    admin,
    redis,
    topic,
    errorTopic,
    group,
    expirySlackMs: options.redisCluster === undefined ? 0 : MIGRATED_SLACK_MS,
    settings: {
      extraFields: 'all',
      metadataTtlMs: METADATA_TTL_S * 1000,
      maxFutureSkewMs: MAX_FUTURE_SKEW_S * 1000,
    },
  })
  const producer = createAcknowledgedProducer({
    kafka,
    topic,
    life: () => oracle.life,
    acknowledged: (records) => oracle.acknowledged(records),
  })
  releases.push(() => producer.disconnect())

  if (options.topic !== false) await scenarioTopics.createTopic()
  const errorTopicConfig = options.errorTopic ?? true
  if (errorTopicConfig !== false) {
    await scenarioTopics.createErrorTopic(errorTopicConfig === true ? {} : errorTopicConfig)
  }

  const env = {
    KAFKA_BOOTSTRAP_SERVERS: brokers.join(','),
    KAFKA_VALIDATED_DATA_TOPIC: topic,
    KAFKA_ERROR_TOPIC: errorTopic,
    KAFKA_CONSUMER_GROUP_ID: group,
    KAFKA_CONSUMER_POLL_TIMEOUT_S: '0.2',
    KAFKA_SESSION_TIMEOUT_S: '6',
    LAG_POLL_INTERVAL_S: '0.5',
    ...(options.redisCluster === undefined
      ? { REDIS_URL: redisUrl }
      : { REDIS_CLUSTER_NODES: options.redisCluster.seeds }),
    REDIS_TIMEOUT_S: '2',
    REDIS_METADATA_TTL: String(METADATA_TTL_S),
    MAX_FUTURE_SKEW_S: String(MAX_FUTURE_SKEW_S),
    METADATA_EXTRA_FIELDS: '*',
    LOG_LEVEL: 'DEBUG',
    ...options.env,
  }

  async function startScenarioWorker(
    further: Readonly<Record<string, string>> = {},
    how?: ServiceProgram | 'all',
  ): Promise<WorkerProcess> {
    const settings = withoutEmpty({ ...env, ...further })
    const worker =
      how === 'all' ? await startWorker(settings, undefined, how) : await startWorker(settings, how)
    workers.push(worker)
    let hasEnded = false
    void worker.exit.then(() => (hasEnded = true))
    releases.push(async () => {
      if (hasEnded) return
      const code = await worker.stop()
      if (code !== 0) throw new Error(`worker ${worker.pid} was still running, and exited with ${code}`)
    })
    // It does not handle signals before it has written its first line.
    await patiently(() => {
      if (worker.output === '' && !hasEnded) throw new Error('it has written nothing')
    })
    return worker
  }

  return {
    ...scenarioTopics,
    topic,
    errorTopic,
    group,
    partitions,
    kafka,
    admin,
    redis,
    oracle,
    env,
    workers,
    get redisServer() {
      if (redisServer === undefined) throw new Error('the scenario has no Redis of its own')
      return redisServer
    },
    async deleteTopic() {
      await admin.deleteTopics({ topics: [topic] })
      oracle.beginNextLife()
      producer.forgetTopic()
    },
    async addPartitions(count) {
      await admin.createPartitions({ topicPartitions: [{ topic, count }] })
      // Until every partition has a leader, a producer does not know it.
      await patiently(async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        const led = (topics[0]?.partitions ?? []).filter(({ leader }) => leader >= 0)
        if (led.length < count) throw new Error(`${led.length} of ${count} partitions have a leader`)
      })
      producer.forgetTopic()
    },
    send: (records, codec) => producer.send(records, codec),
    sendFleet: (count, fleetOptions, codec) =>
      producer.send(createDeviceFleet(fleetOptions).records(count, Date.now()).map(fromFleet), codec),
    startLoad(loadOptions) {
      const load = startLoad((records) => producer.send(records), loadOptions)
      releases.push(() => load.stop())
      return load
    },
    startWorker: startScenarioWorker,
    async consumed() {
      const running = workers.filter(({ isRunning }) => isRunning)
      const sums = await Promise.all(running.map((worker) => worker.consumed()))
      return sums.reduce((total, sum) => total + sum, 0)
    },
  }
}

async function openRedis(options: ScenarioOptions, releases: (() => Promise<unknown>)[]) {
  const { ownRedis, redisClient = {}, redisCluster } = options
  if (redisCluster !== undefined) {
    const cluster = new Cluster(redisCluster.nodes.map(({ host, port }) => ({ host, port })))
    cluster.on('error', () => undefined)
    releases.push(async () => cluster.disconnect())
    // The commands are the same.
    return { redis: cluster as unknown as Redis, redisUrl: '', redisServer: undefined }
  }
  if (ownRedis === undefined) {
    const database = await useRedisDatabase(inject('redisUrl'))
    releases.push(() => database.release())
    return { redis: database.client, redisUrl: database.url, redisServer: undefined }
  }
  const redisServer = 'restart' in ownRedis ? ownRedis : await startOwnRedis(ownRedis)
  if (!('restart' in ownRedis)) releases.push(() => redisServer.stop())
  const ca = redisServer.tls?.ca
  const redis = new Redis(redisServer.url, {
    retryStrategy: () => 100,
    ...(ca !== undefined && { tls: { ca } }),
    ...redisClient,
  })
  redis.on('error', () => undefined)
  releases.push(async () => redis.disconnect())
  return { redis, redisUrl: redisServer.url, redisServer }
}

/** Removes empty variables, which count as unset. */
function withoutEmpty(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
}

async function releaseAll(releases: (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const release of releases.splice(0).toReversed()) {
    try {
      await release()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n'))
}

function describeWorker(worker: WorkerProcess): string {
  const lines = worker.output.split('\n').filter((line) => !line.startsWith('{"level":"debug"'))
  return [`---- worker ${worker.pid}`, ...lines.slice(-SHOWN_LOG_LINES), worker.errors, '----\n'].join('\n')
}

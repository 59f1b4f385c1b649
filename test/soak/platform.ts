import { Redis } from 'ioredis'
import kafkajs from 'kafkajs'
import { eventually } from '../support/eventually.ts'
import { startRoleProcess, type RoleProcess } from '../support/processes/role-process.ts'
import { startWorker, type WorkerProcess } from '../support/processes/worker-process.ts'
import { startOwnKafka, startOwnRedis, type OwnKafka, type OwnRedis } from '../support/servers/servers.ts'
import { startNetworkProxy, type NetworkProxy } from '../support/servers/network-proxy.ts'
import { createTopic } from '../support/test-scope.ts'
import { METADATA_TTL_S } from './traffic.ts'

const STARTS_WITHIN_MS = 180_000
const PARTITIONS = 6
export const TOPIC = 'soak-validated'
export const ERROR_TOPIC = 'soak-errors'
export const GROUP = 'soak'

/** Bounds what a rebuild reads again, and the disk. */
const RETENTION = { 'segment.bytes': String(4 * 1024 * 1024), 'retention.bytes': String(12 * 1024 * 1024) }

/** The whole service on one machine. The first worker and the api live from the beginning to the end. */
export type SoakPlatform = {
  readonly kafka: OwnKafka
  readonly redisServer: OwnRedis
  /** Between Redis and the service. */
  readonly proxy: NetworkProxy
  /** Connected directly to Redis. */
  readonly redis: Redis
  readonly kafkaClient: kafkajs.Kafka
  readonly admin: kafkajs.Admin
  readonly api: RoleProcess
  readonly steady: WorkerProcess
  /** Workers that faults kill, freeze and add. */
  readonly others: WorkerProcess[]
  readonly env: Readonly<Record<string, string>>
  addWorker(): Promise<WorkerProcess>
  stop(): Promise<void>
}

export async function startSoakPlatform(): Promise<SoakPlatform> {
  const running = new AsyncDisposableStack()
  try {
    const kafka = await startOwnKafka({
      jvmArgs: ['-Xmx1g', '-XX:TieredStopAtLevel=4'],
      properties: { 'log.retention.check.interval.ms': '5000', 'log.segment.delete.delay.ms': '1000' },
    })
    running.defer(() => kafka.stop())
    const redisServer = await startOwnRedis({ args: ['--appendonly', 'yes'] })
    running.defer(() => redisServer.stop())
    const proxy = await startNetworkProxy(redisServer)
    running.defer(() => proxy.stop())
    const redis = new Redis(redisServer.url, { retryStrategy: () => 100 })
    redis.on('error', () => undefined)
    running.defer(() => redis.disconnect())
    await createTopic(kafka.brokers, TOPIC, { partitions: PARTITIONS, config: RETENTION })
    await createTopic(kafka.brokers, ERROR_TOPIC)
    const kafkaClient = new kafkajs.Kafka({
      clientId: 'soak',
      brokers: [...kafka.brokers],
      logLevel: kafkajs.logLevel.NOTHING,
    })
    const admin = kafkaClient.admin()
    running.defer(() => admin.disconnect())
    const env = {
      KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(','),
      KAFKA_VALIDATED_DATA_TOPIC: TOPIC,
      KAFKA_ERROR_TOPIC: ERROR_TOPIC,
      KAFKA_CONSUMER_GROUP_ID: GROUP,
      KAFKA_SESSION_TIMEOUT_S: '10',
      REDIS_URL: `redis://${proxy.host}:${proxy.port}`,
      REDIS_METADATA_TTL: String(METADATA_TTL_S),
      METADATA_EXTRA_FIELDS: '*',
      LAG_POLL_INTERVAL_S: '1',
      DEVICES_SWEEP_INTERVAL_S: '15',
      API_HOST: '127.0.0.1',
      LOG_LEVEL: 'INFO',
    }
    const others: WorkerProcess[] = []
    const addWorker = async () => {
      const worker = await startWorker(env)
      others.push(worker)
      return worker
    }
    running.defer(async () => void (await Promise.all(others.map((worker) => stopRunning(worker)))))
    const api = await startRoleProcess('api', env)
    running.defer(async () => void (await api.stop()))
    const steady = await startWorker(env)
    running.defer(() => stopRunning(steady))
    const second = await addWorker()
    await Promise.all([apiReady(api), steady.ready(STARTS_WITHIN_MS), second.ready(STARTS_WITHIN_MS)])
    return {
      ...{ kafka, redisServer, proxy, redis, kafkaClient, admin, api, steady, others, env, addWorker },
      stop: () => running.disposeAsync(),
    }
  } catch (error) {
    await running.disposeAsync()
    throw error
  }
}

async function apiReady(api: RoleProcess): Promise<void> {
  await eventually(
    async () => {
      if (!(await api.isReady())) throw new Error(api.output.slice(-2_000))
    },
    { timeoutMs: STARTS_WITHIN_MS, describe: 'the api becomes ready' },
  )
}

async function stopRunning(worker: WorkerProcess): Promise<void> {
  if (!worker.isRunning) return
  worker.kill('SIGCONT')
  await worker.stop()
}

import { setTimeout as sleep } from 'node:timers/promises'
import { patiently } from '../support/eventually.ts'
import type { PollingReader } from '../support/oracle/polling-reader.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import type { SoakPlatform } from './platform.ts'

/** Causes a fault, and ends it again. */
type Fault = (platform: SoakPlatform, reader: PollingReader) => Promise<void>

const DOWN_MS = 3_000
const FROZEN_MS = 4_000
/** Longer than the session of a worker. */
const WORKER_FROZEN_MS = 14_000

export const FAULTS: Readonly<Record<string, Fault>> = {
  'Redis restarts': ({ redisServer }) => redisServer.restart(),
  'Redis is killed': ({ redisServer }, reader) =>
    reader.duringLoss(async () => {
      await redisServer.kill('SIGKILL')
      await sleep(DOWN_MS)
      await redisServer.start()
    }),
  'Redis hangs': async ({ redisServer }) => {
    await redisServer.kill('SIGSTOP')
    await sleep(FROZEN_MS)
    await redisServer.kill('SIGCONT')
  },
  'Redis is emptied': async ({ redis, steady }, reader) => {
    const losses = () => sumOf(steady, 'cache_loss_total')
    const before = await losses()
    await reader.duringLoss(() => redis.flushall())
    // Until the loss is noticed, nothing tells it from a recovery.
    await patiently(async () => {
      if ((await losses()) === before) throw new Error('the loss has not been noticed yet')
    })
  },
  'Redis forgets its scripts': async ({ redis }) => void (await redis.script('FLUSH')),
  'the network to Redis is cut': async ({ proxy }) => {
    proxy.become('reset')
    await sleep(DOWN_MS)
    proxy.become('open')
  },
  'Kafka restarts': ({ kafka }) => kafka.restart(),
  'Kafka is killed': async ({ kafka }) => {
    await kafka.kill('SIGKILL')
    await sleep(DOWN_MS)
    await kafka.start()
  },
  'a worker is killed': async (platform) => {
    const worker = lastOf(platform)
    worker?.kill('SIGKILL')
    await worker?.exit
    platform.others.pop()
    await platform.addWorker()
  },
  'a worker is frozen': async (platform) => {
    const worker = lastOf(platform)
    worker?.kill('SIGSTOP')
    await sleep(WORKER_FROZEN_MS)
    worker?.kill('SIGCONT')
  },
  'a worker comes and goes': async (platform) => {
    const worker = await platform.addWorker()
    await worker.ready(180_000)
    const code = await worker.stop()
    platform.others.splice(platform.others.indexOf(worker), 1)
    if (code !== 0) throw new Error(`a worker exited with ${code} after SIGTERM`)
  },
  'a rebuild is requested': async ({ env }) => {
    const { code, errors } = await runCliHere(['rebuild', '--yes', '--no-wait'], {
      ...env,
      LOG_LEVEL: 'ERROR',
    })
    if (code !== 0) throw new Error(`cache-cli rebuild exited with ${code}: ${errors}`)
  },
}

async function sumOf(worker: WorkerProcess, metric: string): Promise<number> {
  return (await worker.metric(metric)).reduce((sum, { value }) => sum + value, 0)
}

function lastOf({ others }: SoakPlatform): WorkerProcess | undefined {
  return others.at(-1)
}

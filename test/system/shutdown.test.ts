import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { progressKey } from '../../shared/contract/keys.ts'

const SMALL_STEPS = { CHUNK_MAX_RECORDS: '100', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '40000' }
const BACKLOG = { seed: 1, devices: 300, awkwardPercent: 8, tombstonePercent: 2 }

/** The number of records that a stopped worker consumed, from its log, which has a line for each chunk. */
function consumedByLog(worker: WorkerProcess): number {
  const chunks = worker.logLines().filter(({ msg }) => msg === 'chunk applied')
  return chunks.reduce((sum, { records }) => sum + Number(records), 0)
}

async function progressInRedis({ redis, group, topic }: WorkerScenario): Promise<Map<number, number>> {
  const progress = await redis.hgetall(progressKey(group, topic))
  return new Map(
    Object.entries(progress)
      .filter(([field]) => /^\d+$/.test(field))
      .map(([partition, offset]) => [Number(partition), Number(offset)]),
  )
}

async function consumes(worker: WorkerProcess, records: number): Promise<void> {
  await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(records), { everyMs: 5 })
}

describe.concurrent('a worker that is stopped', () => {
  test('in mid-stream has committed everything that it applied, and the next worker continues from there', async (context) => {
    const report = reportFault(context, 'K12')
    const scenario = await openWorkerScenario(context, { env: SMALL_STEPS })
    const { oracle } = scenario
    await scenario.sendFleet(40_000, BACKLOG)
    const first = await scenario.startWorker()
    await consumes(first, 3_000)
    expect(await first.stop()).toBe(0)
    expect(first.logLines().slice(-5)).toContainEqual(expect.objectContaining({ msg: 'stopped' }))

    const committed = await oracle.committed()
    const reached = [...committed.values()].reduce((sum, offset) => sum + offset, 0)
    expect(reached).toBeLessThan(oracle.produced)
    expect(await progressInRedis(scenario)).toEqual(committed)
    expect(consumedByLog(first)).toBe(reached)
    assertNone(await oracle.differencesAtCommit())
    report.saw('exit code 0; what is committed is exactly what is in Redis')

    const second = await scenario.startWorker()
    await oracle.assertCaughtUp({
      consumed: async () => consumedByLog(first) + (await second.consumed()),
    })
    expect(await progressInRedis(scenario)).toEqual(await oracle.committed())
    expect(await second.stop()).toBe(0)
  })

  test('by a second signal exits immediately with code 1', async (context) => {
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env: { REDIS_TIMEOUT_S: '5' } })
    const worker = await hangInAChunk(scenario)
    worker.kill('SIGTERM')
    await patiently(() => expect(worker.output).toContain('stopping: finishing the work in progress'))
    worker.kill('SIGINT')
    // At the deadline it would exit with 1 as well, but with another last line.
    expect(await worker.exit).toBe(1)
    expect(worker.logLines().at(-1)).toMatchObject({
      level: 'warn',
      msg: 'second signal received: exiting immediately',
    })
    await scenario.redisServer.kill('SIGCONT')
    assertNone(await scenario.oracle.differencesBelowCommit())
  })

  test('exits with code 1 if it cannot finish within SHUTDOWN_TIMEOUT_S', async (context) => {
    const scenario = await openWorkerScenario(context, {
      ownRedis: {},
      env: { REDIS_TIMEOUT_S: '5', SHUTDOWN_TIMEOUT_S: '1' },
    })
    const worker = await hangInAChunk(scenario)
    expect(await worker.stop()).toBe(1)
    expect(worker.logLines().at(-1)).toMatchObject({
      level: 'error',
      msg: expect.stringContaining('SHUTDOWN_TIMEOUT_S'),
    })
    await scenario.redisServer.kill('SIGCONT')
    assertNone(await scenario.oracle.differencesBelowCommit())
  })

  test('while it holds a chunk exits without trying it again, and without committing it', async (context) => {
    const scenario = await openWorkerScenario(context, { ownRedis: { args: ['--appendonly', 'yes'] } })
    const { oracle, redisServer } = scenario
    await scenario.sendFleet(2_000, BACKLOG)
    const worker = await scenario.startWorker()
    await oracle.caughtUp()
    const before = await oracle.committed()
    await redisServer.kill('SIGKILL')
    await scenario.sendFleet(2_000, { ...BACKLOG, seed: 2 })
    await patiently(() => expect(worker.output).toContain('holding: the chunk will be tried again'))
    expect(await worker.stop()).toBe(0)
    const messages = worker.logLines().map(({ msg }) => String(msg))
    const afterSignal = messages.slice(messages.findIndex((msg) => msg.startsWith('stopping:')))
    expect(afterSignal.filter((msg) => msg.startsWith('holding'))).toEqual([])
    expect(await oracle.committed()).toEqual(before)

    await redisServer.start()
    const next = await scenario.startWorker()
    await oracle.assertCaughtUp()
    expect(await next.stop()).toBe(0)
  })
})

/** Starts a worker and freezes Redis while the worker writes a chunk. */
async function hangInAChunk(scenario: WorkerScenario): Promise<WorkerProcess> {
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.sendFleet(500, BACKLOG)
  await scenario.oracle.caughtUp()
  await scenario.redisServer.kill('SIGSTOP')
  await scenario.sendFleet(500, { ...BACKLOG, seed: 2 })
  await patiently(async () => {
    const lags = await worker.metric('consumer_lag')
    expect(Math.max(...lags.map(({ value }) => value))).toBeGreaterThan(0)
  })
  return worker
}

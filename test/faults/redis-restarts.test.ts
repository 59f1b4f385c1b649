import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openLoadedWorker } from '../support/faults/loaded-worker.ts'
import { becomesNotReady, valueOf } from '../support/processes/worker-facts.ts'
import { assertNone } from '../support/oracle/oracle.ts'

const NOT_CONNECTED = /holding: redis (CONNECTION|TIMEOUT)/
const HELD_MS = 3_000
/** Small steps, so that a rebuild takes a while. */
const SMALL_STEPS = { CHUNK_MAX_RECORDS: '100', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '40000' }

describe('a worker under load recovers', () => {
  test.for([
    ['R1', 'SIGTERM'],
    ['R2', 'SIGKILL'],
  ] as const)(
    'when a Redis with an append-only file is ended (%s, %s), without reading anything again',
    async ([id, signal], context) => {
      const report = reportFault(context, id)
      const loaded = await openLoadedWorker(context, { ownRedis: { args: ['--appendonly', 'yes'] } })
      const { scenario, worker } = loaded
      await scenario.redisServer.kill(signal)
      report.saw(
        `${signal} with an append-only file: 503 after ${await becomesNotReady(loaded.worker, NOT_CONNECTED)} ms`,
      )
      await loaded.staysHeld(NOT_CONNECTED, HELD_MS)
      expect(await valueOf(loaded.worker, 'redis_up')).toBe(0)
      // The worker is frozen for a moment, to compare what is committed with what Redis kept.
      worker.kill('SIGSTOP')
      await scenario.redisServer.start()
      await patiently(() => scenario.redis.ping())
      assertNone(await scenario.oracle.differencesBelowCommit())
      worker.kill('SIGCONT')
      await loaded.recovers(report)
      report.saw('nothing committed meanwhile, nothing lost')
      expect(worker.output).not.toContain('Redis lost data')
    },
  )

  test.for([
    ['R1', 'SIGTERM'],
    ['R2', 'SIGKILL'],
  ] as const)(
    'when a Redis without persistence is ended (%s, %s), by reading everything again',
    async ([id, signal], context) => {
      const report = reportFault(context, id)
      const loaded = await openLoadedWorker(context, { env: SMALL_STEPS })
      const { load, reader, scenario, worker } = loaded
      await reader.duringLoss(() => scenario.redisServer.kill(signal))
      const heldAfterMs = await becomesNotReady(loaded.worker, NOT_CONNECTED)
      await loaded.staysHeld(NOT_CONNECTED, HELD_MS)
      const before = load.sent
      await scenario.redisServer.start()
      await loaded.recovers(report)
      const rebuilt = await valueOf(loaded.worker, 'cache_loss_total')
      expect(rebuilt).toBe(scenario.partitions)
      report.saw(
        `${signal} without persistence: 503 after ${heldAfterMs} ms; ${rebuilt} partitions, ${before} records read again`,
      )
      expect(worker.output).toContain('Redis lost data that Kafka still has')
    },
  )

  test('when Redis takes seconds to load its data', async (context) => {
    const report = reportFault(context, 'R3')
    const slowLoad = ['--key-load-delay', '200', '--loading-process-events-interval-bytes', '1024']
    const loaded = await openLoadedWorker(context, {
      // With a save point, Redis saves when it is terminated.
      ownRedis: { args: ['--save', '3600 1000000', ...slowLoad] },
    })
    const { scenario, worker } = loaded
    const filler = scenario.redis.duplicate({ db: 1 })
    context.onTestFinished(() => filler.disconnect())
    await filler.call('DEBUG', 'POPULATE', '30000')
    await scenario.redisServer.kill('SIGTERM')
    await becomesNotReady(loaded.worker, NOT_CONNECTED)
    await scenario.redisServer.start({ waitUntilReady: false })
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis LOADING/)
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    expect(await valueOf(loaded.worker, 'redis_up')).toBe(0)
    await patiently(() => scenario.redis.ping())
    await loaded.recovers(report)
    expect(await valueOf(loaded.worker, 'redis_errors_total', { code: 'LOADING' })).toBeGreaterThan(0)
    expect(worker.output).not.toContain('Redis lost data')
    report.saw(`30,000 keys: \`holding: redis LOADING\` ${heldAfterMs} ms after the start; nothing lost`)
  })
})

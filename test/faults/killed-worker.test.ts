import { describe, expect, test } from 'vitest'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

const KILLS = 3
const RECORDS = 30_000
// Small steps, so that a kill is likely to interrupt one.
const SMALL_STEPS = {
  CHUNK_MAX_RECORDS: '100',
  KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '40000',
  REDIS_SCRIPT_MAX_KEYS: '7',
}

describe.concurrent('a worker that is killed loses nothing', () => {
  test.for([1, 2])('at any position in the stream (seed %i)', async (seed, context) => {
    const report = reportFault(context, 'K11')
    const scenario = await openWorkerScenario(context, { env: SMALL_STEPS })
    const { oracle } = scenario
    const random = createSeededRandom(seed)
    await scenario.sendFleet(RECORDS, { seed, devices: 300, awkwardPercent: 8, tombstonePercent: 2 })
    const committedAtKills: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = await scenario.startWorker()
      const target = 300 + random.below(RECORDS / (2 * KILLS))
      await patiently(
        async () => {
          const consumed = await worker.consumed()
          if (consumed < target) throw new Error(`${consumed} of ${target} are consumed`)
        },
        { everyMs: 1 + random.below(20), describe: `kill ${kill} of seed ${seed}` },
      )
      worker.kill('SIGKILL')
      expect(await worker.exit).toBe('SIGKILL')
      assertNone(await oracle.differencesBelowCommit())
      committedAtKills.push([...(await oracle.committed()).values()].reduce((sum, offset) => sum + offset, 0))
    }
    // Otherwise nothing was interrupted.
    expect(Math.max(...committedAtKills)).toBeLessThan(RECORDS)
    expect(committedAtKills.toSorted((a, b) => a - b)).toEqual(committedAtKills)
    report.saw(`seed ${seed}: killed with ${committedAtKills.join(', ')} of ${RECORDS} committed`)
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp()
    await worker.ready()
    expect(await worker.stop()).toBe(0)
  })
})

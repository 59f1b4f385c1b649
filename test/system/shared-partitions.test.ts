import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'

const { AssignerProtocol } = kafkajs

const PARTITIONS = 6
const ALL = [0, 1, 2, 3, 4, 5]
const LOAD = { devices: 300, perSecond: 600, awkwardPercent: 8 }

async function assigned(worker: WorkerProcess): Promise<number> {
  return (await worker.metric('assigned_partitions'))[0]?.value ?? 0
}

async function consumesSomething(worker: WorkerProcess): Promise<void> {
  await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(0))
}

/** Waits until each worker has some partitions, and together they have all. */
async function ownAll(...workers: WorkerProcess[]): Promise<void> {
  await patiently(
    async () => {
      const counts = await Promise.all(workers.map(assigned))
      expect(counts.every((count) => count > 0)).toBe(true)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(PARTITIONS)
      for (const worker of workers) expect(await worker.get('/readyz')).toMatchObject({ status: 200 })
    },
    { describe: 'every partition has a worker' },
  )
}

/** The partitions of all members, according to Kafka. */
async function ownedInKafka({ admin, group, topic }: WorkerScenario): Promise<number[]> {
  const { groups } = await admin.describeGroups([group])
  const assignments = groups
    .flatMap(({ members }) => members)
    .map(({ memberAssignment }) => AssignerProtocol.MemberAssignment.decode(memberAssignment))
  return assignments.flatMap((decoded) => decoded?.assignment[topic] ?? []).toSorted()
}

describe.concurrent('workers of one group', () => {
  test('share the partitions, and take over those of a worker that is stopped or killed', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: PARTITIONS })
    const { oracle } = scenario
    const load = scenario.startLoad({ ...LOAD, seed: 1, tombstonePercent: 1 })
    const staying = await scenario.startWorker()
    const leaving = await scenario.startWorker()
    await ownAll(staying, leaving)
    expect(await ownedInKafka(scenario)).toEqual(ALL)

    await consumesSomething(leaving)
    expect(await leaving.stop()).toBe(0)
    await ownAll(staying)

    const dying = await scenario.startWorker()
    await ownAll(staying, dying)
    await consumesSomething(dying)
    dying.kill('SIGKILL')
    expect(await dying.exit).toBe('SIGKILL')
    await patiently(async () => expect(await assigned(staying)).toBe(PARTITIONS))
    await ownAll(staying)
    expect(await ownedInKafka(scenario)).toEqual(ALL)

    await load.stop()
    await oracle.assertCaughtUp()
    expect(await staying.stop()).toBe(0)
  })

  test('may be frozen beyond their session timeout: their late writes change nothing', async (context) => {
    const report = reportFault(context, 'K10')
    const scenario = await openWorkerScenario(context, { partitions: PARTITIONS })
    const { oracle } = scenario
    const load = scenario.startLoad({ ...LOAD, seed: 2 })
    const frozen = await scenario.startWorker()
    const other = await scenario.startWorker()
    await ownAll(frozen, other)
    frozen.kill('SIGSTOP')
    await patiently(async () => expect(await assigned(other)).toBe(PARTITIONS))
    frozen.kill('SIGCONT')
    const recovered = report.startRecovery()
    await ownAll(frozen, other)
    recovered()
    report.saw('the other worker owned all partitions; both own some again')
    await load.stop()
    await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
    expect(await frozen.stop()).toBe(0)
    expect(await other.stop()).toBe(0)
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault, type FaultReport } from '../support/faults/fault-test.ts'
import { becomesNotReady, consumesMore, linesAt, valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../support/processes/worker-scenario.ts'
import type { Load } from '../support/records/record-load.ts'
import { aclOfAlice, startKafkaWithAcls, workersAsAlice } from '../support/servers/kafka-with-acls.ts'
import type { OwnKafka } from '../support/servers/servers.ts'

const LOAD = { devices: 100, perSecond: 200, awkwardPercent: 5 }
/** What a hold may log and do in ten seconds without being a busy loop. */
const MOST_ATTEMPTS = 60

let kafka: OwnKafka

beforeAll(async () => {
  kafka = await startKafkaWithAcls()
}, 120_000)
afterAll(() => kafka?.stop())

type Permission = readonly [resource: 'TOPIC' | 'GROUP', name: string, operation: 'READ' | 'WRITE']

async function openScenario(context: ScenarioContext) {
  const scenario = await openWorkerScenario(context, workersAsAlice(kafka))
  const { admin, errorTopic, group, topic } = scenario
  const permissions: Readonly<Record<'read' | 'join' | 'deadLetter', Permission>> = {
    read: ['TOPIC', topic, 'READ'],
    join: ['GROUP', group, 'READ'],
    deadLetter: ['TOPIC', errorTopic, 'WRITE'],
  }
  return {
    scenario,
    permissions,
    allow: (...allowed: Permission[]) =>
      admin.createAcls({ acl: allowed.map((permission) => aclOfAlice(...permission)) }),
    deny: (denied: Permission) => admin.deleteAcls({ filters: [aclOfAlice(...denied)] }),
  }
}

describe('if Kafka refuses', { timeout: 240_000 }, () => {
  test.for(['read', 'join'] as const)(
    'a user who may not %s, the worker exits at its start and names what is missing',
    async (missing, context) => {
      const report = reportFault(context, 'K17')
      const { allow, permissions, scenario } = await openScenario(context)
      const { [missing]: _, ...others } = permissions
      await allow(...Object.values(others))
      const worker = await scenario.startWorker()
      expect(await worker.exit).toBe(2)
      expect(worker.logLines()).toContainEqual(
        expect.objectContaining({
          level: 'fatal',
          msg: expect.stringContaining(
            missing === 'read' ? 'KAFKA_VALIDATED_DATA_TOPIC' : 'KAFKA_CONSUMER_GROUP_ID',
          ),
        }),
      )
      report.saw(`without the permission to ${missing}: exit code 2`)
    },
  )

  test.for(['read', 'join'] as const)(
    'under load to let the worker %s, it waits without a busy loop, and resumes once it may',
    async (taken, context) => {
      const report = reportFault(context, 'K17')
      const { allow, deny, permissions, scenario } = await openScenario(context)
      await allow(...Object.values(permissions))
      const worker = await scenario.startWorker()
      const load = scenario.startLoad({ ...LOAD, seed: taken === 'read' ? 1 : 2 })
      await worker.ready(90_000)
      await consumesMore(worker, 300)
      await deny(permissions[taken])
      const ms = await becomesNotReady(worker, /not in the consumer group: .*(authoriz|permi)/i)
      const [lines, restarts] = [linesAt(worker, ['warn', 'error']), await restartsOf(worker)]
      const refusedAt = performance.now()
      await patiently(
        async () => {
          expect(await worker.get('/livez')).toMatchObject({ status: 200 })
          expect(await worker.get('/readyz')).toMatchObject({ status: 503 })
          expect(performance.now() - refusedAt).toBeGreaterThan(10_000)
        },
        { everyMs: 250 },
      )
      const attempts = (await restartsOf(worker)) - restarts
      const logged = linesAt(worker, ['warn', 'error']) - lines
      expect(attempts).toBeLessThan(MOST_ATTEMPTS)
      expect(logged).toBeLessThan(2 * MOST_ATTEMPTS)
      report.saw(`${taken} taken away: 503 after ${ms} ms; ${attempts} attempts, ${logged} lines in 10 s`)
      await allow(permissions[taken])
      await recovers({ scenario, load, worker }, report)
    },
  )

  test('dead letters under load, the partitions with invalid records hold, and no record is skipped', async (context) => {
    const report = reportFault(context, 'D1')
    const { allow, deny, permissions, scenario } = await openScenario(context)
    const { oracle } = scenario
    await allow(...Object.values(permissions))
    const worker = await scenario.startWorker()
    const load = scenario.startLoad({ ...LOAD, seed: 3, invalidPercent: 5 })
    await worker.ready(90_000)
    await consumesMore(worker, 300)
    await deny(permissions.deadLetter)
    const ms = await becomesNotReady(worker, /holding: kafka NOT_AUTHORIZED.*KAFKA_ERROR_TOPIC/)
    // Every partition comes to an invalid record.
    await patiently(async () => expect((await worker.get('/readyz')).body).toMatch(/\(partitions 0, 1, 2\)/))
    worker.kill('SIGSTOP')
    await patiently(async () => expect(await oracle.differencesBelowCommit()).toEqual([]))
    worker.kill('SIGCONT')
    report.saw(`write access taken away: 503 \`holding: kafka\` after ${ms} ms; nothing invalid is committed`)
    await allow(permissions.deadLetter)
    await recovers({ scenario, load, worker }, report)
  })
})

async function recovers(
  { load, scenario, worker }: { scenario: WorkerScenario; load: Load; worker: WorkerProcess },
  report: FaultReport,
): Promise<void> {
  const recovered = report.startRecovery()
  await worker.ready(90_000)
  recovered()
  await load.stop()
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true }, 120_000)
  expect(await worker.stop()).toBe(0)
}

const restartsOf = (worker: WorkerProcess) => valueOf(worker, 'consumer_restarts_total')

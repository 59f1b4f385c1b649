import kafkajs, { type Admin } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { neededKafkaPermissions, type KafkaPermission } from '../support/docs/kafka-permissions.ts'
import { patiently } from '../support/eventually.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../support/processes/worker-scenario.ts'
import { aclOfAlice, startKafkaWithAcls, workersAsAlice } from '../support/servers/kafka-with-acls.ts'
import type { OwnKafka } from '../support/servers/servers.ts'

const NEEDED = neededKafkaPermissions()

let kafka: OwnKafka
let admin: Admin

beforeAll(async () => {
  kafka = await startKafkaWithAcls()
  const client = new kafkajs.Kafka({
    brokers: [...kafka.internalBrokers],
    logLevel: kafkajs.logLevel.NOTHING,
  })
  admin = client.admin()
  await admin.connect()
})
afterAll(async () => {
  await admin?.disconnect()
  await kafka?.stop()
})

/** The test itself uses the internal listener, and may do everything. */
async function openWith(
  context: ScenarioContext,
  permissions: readonly KafkaPermission[],
): Promise<WorkerScenario> {
  const scenario = await openWorkerScenario(context, workersAsAlice(kafka))
  const acl = permissions.map(({ resource, option, operation }) =>
    aclOfAlice(resource === 'topic' ? 'TOPIC' : 'GROUP', scenario.env[option] ?? '', aclOperation(operation)),
  )
  await admin.createAcls({ acl })
  // Some of them become dead letters.
  await scenario.sendFleet(200, { seed: 1, devices: 20, awkwardPercent: 50 })
  return scenario
}

describe.concurrent('a worker that has the Kafka permissions of docs/configuration.md', () => {
  test('reads, commits, and sends dead letters', async (context) => {
    const scenario = await openWith(context, NEEDED)
    const worker = await scenario.startWorker()
    await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
    await worker.ready()
    expect(await worker.stop()).toBe(0)
  })

  test.for(NEEDED)('needs $operation for the $resource $option', async (missing, context) => {
    const scenario = await openWith(
      context,
      NEEDED.filter((permission) => permission !== missing),
    )
    const worker = await scenario.startWorker()
    let exit: number | NodeJS.Signals | undefined
    void worker.exit.then((outcome) => (exit = outcome))
    await patiently(async () => {
      if (exit === undefined) expect((await worker.get('/readyz')).status).toBe(503)
      const refused = worker.logLines().filter((line) => /authori[sz]/i.test(JSON.stringify(line)))
      expect(JSON.stringify(refused)).toContain(missing.option)
    })
    if (exit !== undefined) expect(exit).toBe(2)
  })
})

function aclOperation(documented: string): 'READ' | 'WRITE' {
  if (documented === 'Read') return 'READ'
  if (documented === 'Write') return 'WRITE'
  throw new Error(`docs/configuration.md names the unknown operation ${documented}`)
}

import { afterAll, beforeAll, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { becomesNotReady, linesAt, valueOf } from '../support/processes/worker-facts.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { reservePort } from '../support/servers/free-port.ts'
import { startOwnKafka, type OwnKafka } from '../support/servers/servers.ts'

let kafka: OwnKafka

beforeAll(async () => {
  kafka = await startOwnKafka()
}, 120_000)
afterAll(() => kafka?.stop())

const ADDRESSES: Readonly<Record<string, () => Promise<string>>> = {
  'a closed port': async () => {
    const { port, release } = await reservePort()
    await release()
    return `127.0.0.1:${port}`
  },
  'a host name that does not exist': async () => 'no-such-host.invalid:9092',
  'the port of the controller': async () => `127.0.0.1:${kafka.controllerPort}`,
}

test.for(Object.keys(ADDRESSES))(
  'a worker that is given %s stays alive, is not ready, and names the address',
  { timeout: 240_000 },
  async (what, context) => {
    const report = reportFault(context, 'K18')
    const address = (await ADDRESSES[what]?.()) ?? ''
    const scenario = await openWorkerScenario(context, { kafka })
    const worker = await scenario.startWorker({ KAFKA_BOOTSTRAP_SERVERS: address })
    const [host = ''] = address.split(':')
    const named = what.startsWith('a host') ? host : address
    const reason = new RegExp(`not in the consumer group: .*${named.replaceAll('.', '\\.')}`)
    await becomesNotReady(worker, reason)
    // It keeps trying, and keeps its reason.
    await patiently(async () => expect(await valueOf(worker, 'consumer_restarts_total')).toBeGreaterThan(5), {
      timeoutMs: 120_000,
    })
    await becomesNotReady(worker, reason)
    const lines = linesAt(worker, ['warn', 'error'])
    expect(lines).toBeLessThan(60)
    report.saw(`${what}: alive, 503 with the address, ${lines} lines after 6 attempts`)
    expect(await worker.stop()).toBe(0)
  },
)

test('a worker that is given the port of the controller and that of a broker uses the broker', async (context) => {
  const report = reportFault(context, 'K18')
  const scenario = await openWorkerScenario(context, { kafka })
  const addresses = [`127.0.0.1:${kafka.controllerPort}`, ...kafka.brokers]
  const worker = await scenario.startWorker({ KAFKA_BOOTSTRAP_SERVERS: addresses.join() })
  await worker.ready(90_000)
  report.saw('the port of the controller before that of a broker: ready')
})

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'

/** Listens on `[::1]` and passes everything on. Returns the address, in brackets. */
async function relayFromIpv6({ onTestFinished }: ScenarioContext, host: string, port: number) {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect({ host, port })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  server.listen(0, '::1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has a port')
  return { address: `[::1]:${address.port}`, connections: () => sockets.size }
}

test('a worker and cache-cli reach Kafka and Redis by IPv6 addresses', async (context) => {
  const scenario = await openWorkerScenario(context)
  const [host = '', port] = (scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(':')
  const kafka = await relayFromIpv6(context, host, Number(port))
  const redisUrl = new URL(scenario.env['REDIS_URL'] ?? '')
  const redis = await relayFromIpv6(context, redisUrl.hostname, Number(redisUrl.port))
  const ipv6 = {
    KAFKA_BOOTSTRAP_SERVERS: kafka.address,
    REDIS_URL: `redis://${redis.address}${redisUrl.pathname}`,
    METRICS_HOST: '::1',
  }
  const worker = await scenario.startWorker(ipv6)
  await scenario.send([update({ deviceId: 'd' })])
  await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(1))
  expect(kafka.connections()).toBeGreaterThan(0)
  expect(redis.connections()).toBeGreaterThan(0)
  expect(await runCliHere(['lag'], { ...scenario.env, ...ipv6 })).toMatchObject({ code: 0 })
  expect(await worker.stop()).toBe(0)
})

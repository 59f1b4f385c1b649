import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'

/** What listens at the other bootstrap address; undefined: nothing does. */
const LISTENERS: Readonly<Record<string, ((socket: Socket) => void) | undefined>> = {
  'refuses connections': undefined,
  'accepts connections and never answers': () => undefined,
  'drops every connection': (socket) => socket.destroy(),
  'answers with something else': (socket) =>
    socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
}

async function listen(behave: ((socket: Socket) => void) | undefined) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    behave?.(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has a port')
  if (behave === undefined) server.close()
  return {
    address: `127.0.0.1:${address.port}`,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe.concurrent('with a bootstrap address that', () => {
  test.for(Object.entries(LISTENERS).flatMap(([what, behave]) => [0, 1].map((at) => ({ what, behave, at }))))(
    '$what, at position $at beside a good one, a worker joins and stops, and cache-cli works',
    async ({ at, behave }, context) => {
      const listener = await listen(behave)
      context.onTestFinished(() => listener.close())
      const scenario = await openWorkerScenario(context)
      const good = scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? ''
      const brokers = at === 0 ? [listener.address, good] : [good, listener.address]
      const env = { ...scenario.env, KAFKA_BOOTSTRAP_SERVERS: brokers.join(','), METRICS_PORT: '0' }
      const worker = await scenario.startWorker({ KAFKA_BOOTSTRAP_SERVERS: brokers.join(',') })
      await scenario.send([update({ deviceId: 'd' })])
      await worker.ready()
      await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(1))
      expect(await runCliHere(['lag'], env)).toMatchObject({ code: 0 })
      expect((await runCliHere(['doctor'], env)).output).toContain('reading')
      expect(await worker.stop()).toBe(0)
    },
  )
})

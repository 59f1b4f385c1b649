import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { Redis } from 'ioredis'
import { hintFields } from '../../cache-service/core/events/stream-entry.ts'
import { DEVICE_STREAM_KEY } from '../../shared/contract/keys.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { cpuUs, residentMiB } from './worker/figures.ts'

/**
 * Measures what clients that follow events cost an API process while nothing happens, and how late events reach all of them
 * at a steady rate. The clients run in this process, and share the processors with the API and Redis.
 */
const options = new Command('fan-out-bench')
  .option('--clients <n>', 'clients that follow events', '500')
  .option('--rate <n>', 'entries of the stream per second', '20')
  .option('--ids <n>', 'device ids in an entry', '10')
  .option('--seconds <n>', 'length of the run', '15')
  .parse()
  .opts<Record<'clients' | 'rate' | 'ids' | 'seconds', string>>()
const [clients, rate, ids, seconds] = (['clients', 'rate', 'ids', 'seconds'] as const).map((name) =>
  Number(options[name]),
) as [number, number, number, number]

const redisServer = await startOwnRedis()
const api = await startRoleProcess('api', {
  API_MAX_EVENT_CLIENTS: String(clients),
  REDIS_URL: redisServer.url,
  LOG_LEVEL: 'WARN',
})
const redis = new Redis(redisServer.url)
const latenesses: number[] = []
try {
  await becomesReady(api)
  // The first request compiles what all others use.
  await follow()
  const beforeMiB = residentMiB(api.pid, 'now')
  for (let n = 1; n < clients; n++) await follow()
  await sleep(2_000)
  const idleKB = ((residentMiB(api.pid, 'now') - beforeMiB) * 1024) / (clients - 1)
  const beforeUs = cpuUs(api.pid)
  const entries = rate * seconds
  for (let n = 0; n < entries; n++) {
    const names = Array.from({ length: ids }, (_, i) => `device-${n * ids + i}`)
    await redis.xadd(DEVICE_STREAM_KEY, '*', ...hintFields('changed', names, Date.now()))
    await sleep(1000 / rate)
  }
  await sleep(1_000)
  const sorted = latenesses.toSorted((a, b) => a - b)
  const quantile = (q: number) => sorted[Math.floor(sorted.length * q)] ?? 0
  console.table({
    'events expected by all clients': entries * clients,
    'events received': latenesses.length,
    'events per second': Math.round(latenesses.length / (seconds + 1)),
    'lateness, median, ms': quantile(0.5),
    'lateness, p99, ms': quantile(0.99),
    'CPU time of the API per event and client, µs': Math.round(
      (cpuUs(api.pid) - beforeUs) / latenesses.length,
    ),
    'resident memory per idle client, kB': Math.round(idleKB),
  })
} finally {
  redis.disconnect()
  api.kill('SIGKILL')
  await api.exit
  await redisServer.stop()
}
process.exit()

/** Resolves when the stream has begun. Each event's lateness counts from when its entry was appended, by the entry's id. */
async function follow(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(api.apiUrl).port) })
  socket.on('error', () => undefined)
  socket.write('GET /api/events?events=device HTTP/1.1\r\nHost: localhost\r\n\r\n')
  let tail = ''
  socket.on('data', (data: Buffer) => {
    resolve()
    const now = Date.now()
    const text = tail + data.toString('latin1')
    const end = text.lastIndexOf('\n\n') + 2
    tail = text.slice(Math.max(end, 0))
    for (const event of text.slice(0, Math.max(end, 0)).split('\n\n')) {
      const appendedMs = /^id: ?[\d-]+\.(\d+)-/m.exec(event)?.[1]
      if (event.includes('event: device') && appendedMs !== undefined)
        latenesses.push(now - Number(appendedMs))
    }
  })
  return await promise
}

import { connect } from 'node:net'
import { Command } from 'commander'
import { Redis } from 'ioredis'
import { hintFields } from '../../cache-service/core/events/stream-entry.ts'
import { DEVICE_STREAM_KEY } from '../../shared/contract/keys.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { residentMiB } from './worker/figures.ts'

/**
 * Measures how an api process with the heap limit of the image survives that all its event clients resume at once, far
 * behind: how long until each of them has every event, and how much memory the process needed. The clients run in this
 * process, and share the processors with the api and Redis.
 */
const options = new Command('events-bench')
  .option('--clients <n>', 'clients that resume at once', '1000')
  .option('--silent <n>', 'further clients that resume and never read', '0')
  .option('--places <n>', 'places in the stream at which they resume', '1')
  .option('--filters <n>', 'different filters, each of which passes every hint', '1')
  .option('--hints <n>', 'entries in the stream', '1000')
  .option('--ids <n>', 'device ids in an entry', '250')
  .parse()
  .opts<Record<'clients' | 'silent' | 'places' | 'filters' | 'hints' | 'ids', string>>()

const [clients, silent, places, filters, hints, ids] = (
  ['clients', 'silent', 'places', 'filters', 'hints', 'ids'] as const
).map((name) => Number(options[name])) as [number, number, number, number, number, number]

const redisServer = await startOwnRedis()
const api = await startRoleProcess('api', {
  API_MAX_EVENT_CLIENTS: String(clients + silent),
  REDIS_URL: redisServer.url,
  LOG_LEVEL: 'WARN',
})
try {
  const entryIds = await fill()
  await becomesReady(api)
  const idleMiB = Math.round(residentMiB(api.pid, 'now'))
  const startedAt = performance.now()
  for (let n = 0; n < silent; n++) openClient(n, entryIds).socket.pause()
  const outcomes = await Promise.all(
    Array.from({ length: clients }, (_, n) => openClient(n, entryIds).caughtUp),
  )
  const seconds = (performance.now() - startedAt) / 1_000
  const bytes = outcomes.reduce((sum, outcome) => sum + outcome.bytes, 0)
  console.table({
    'clients that caught up': outcomes.filter(({ isComplete }) => isComplete).length,
    'clients that lost an event': outcomes.filter(({ isComplete }) => !isComplete).length,
    'seconds until all had caught up': Number(seconds.toFixed(1)),
    'clients that were dropped as slow': await api.metric('cache_service_sse_dropped_total', {
      reason: 'slow',
    }),
    'MiB sent': Math.round(bytes / 1024 / 1024),
    'MiB per second': Math.round(bytes / 1024 / 1024 / seconds),
    'resident memory before, MiB': idleMiB,
    'resident memory, peak, MiB': Math.round(residentMiB(api.pid, 'peak')),
  })
} finally {
  api.kill('SIGKILL')
  await api.exit
  await redisServer.stop()
}
process.exit()

/** @returns the ids of the entries. */
async function fill(): Promise<string[]> {
  const redis = new Redis(redisServer.url)
  const entryIds: string[] = []
  for (let n = 0; n < hints; n++) {
    const names = Array.from({ length: ids }, (_, i) => `device-${String(n * ids + i).padStart(8, '0')}`)
    const id = await redis.xadd(DEVICE_STREAM_KEY, '*', ...hintFields('changed', [...names, 'everywhere'], 0))
    entryIds.push(id ?? '')
  }
  redis.disconnect()
  return entryIds
}

/** Resolves when the server says by a ping that it has sent everything. */
function openClient(n: number, entryIds: readonly string[]) {
  const place = n % places
  const after = place === 0 ? '0-0' : (entryIds[place - 1] ?? '0-0')
  const filter = n % filters === 0 ? '' : `&device=everywhere&device=other-${n % filters}`
  const { promise, resolve } = Promise.withResolvers<{ isComplete: boolean; bytes: number }>()
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(api.apiUrl).port) })
  socket.write(
    `GET /api/events?events=device${filter} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0-0.${after}\r\n\r\n`,
  )
  let events = 0
  let bytes = 0
  let tail = ''
  socket.on('data', (data: Buffer) => {
    bytes += data.length
    const text = tail + data.toString('latin1')
    for (let at = text.indexOf('event: device'); at >= 0; at = text.indexOf('event: device', at + 1)) events++
    const isDone = text.includes('event: ping')
    // Not long enough for a whole match.
    tail = text.slice(-'event: device'.length + 1)
    if (!isDone) return
    socket.destroy()
    resolve({ isComplete: events === hints - place, bytes })
  })
  // It has been dropped: 'close' follows.
  socket.on('error', () => undefined)
  socket.on('close', () => resolve({ isComplete: false, bytes }))
  return { socket, caughtUp: promise }
}

import { Command } from 'commander'
import { Redis } from 'ioredis'
import { z } from 'zod'
import { createDeviceIndex } from '../../cache-service/redis/devices/device-index.ts'
import { SWEEP_LEASE_MS, sweepOnce } from '../../cache-service/redis/devices/sweeper.ts'
import { createLease } from '../../cache-service/redis/lease.ts'
import { SWEEPER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { cpuUs, residentMiB } from './worker/figures.ts'

/**
 * Measures what searches over all devices cost one api process and Redis, and a sweep of their index, and what single lookups notice
 * of it. The program, the api and Redis share the processors.
 */
const options = new Command('search-bench')
  .option('--devices <n>', 'devices in the cache', '100000')
  .option('--runs <n>', 'searches of each kind', '5')
  .option('--lookups <n>', 'single lookups per second meanwhile', '200')
  .parse()
  .opts<{ devices: string; runs: string; lookups: string }>()

const DEVICES = Number(options.devices)
const RUNS = Number(options.runs)

const redisServer = await startOwnRedis()
const api = await startRoleProcess('api', {
  REDIS_URL: redisServer.url,
  LOG_LEVEL: 'WARN',
  API_SEARCH_MAX_DEVICES: '20000000',
})
try {
  await fill()
  await becomesReady(api)
  const results: Record<string, Record<string, string | number>> = {}
  const quiet = await lookups(() => new Promise((resolve) => setTimeout(resolve, 5_000)))
  results['lookups without searches'] = { 'p50, ms': quiet.p50, 'p99, ms': quiet.p99, 'max, ms': quiet.max }
  const residentBefore = memoryMiB('now')
  const before = cpuMs()
  let tookMs = 0
  const busy = await lookups(async () => {
    tookMs = await timed('/api/search/devices?limit=100')
  })
  const after = cpuMs()
  results['first search: scan and sort by id'] = {
    'time, ms': tookMs,
    'api, CPU ms': after.api - before.api,
    'Redis, CPU ms': after.redis - before.redis,
    'p50, ms': busy.p50,
    'p99, ms': busy.p99,
    'max, ms': busy.max,
  }
  const kinds = {
    'a further page': '/api/search/devices?limit=100',
    'sorted by type': '/api/search/devices?limit=100&sort=-datatype_name',
    'sorted by age': '/api/search/devices?limit=100&sort=last_updated',
    'one type and unit': '/api/search/devices?limit=100&type=Temperature%207&unit=%C2%B0C',
    'part of an id': '/api/search/devices?limit=100&contains=99',
    types: '/api/search/types',
  }
  for (const [name, path] of Object.entries(kinds)) {
    const times: number[] = []
    const latency = await lookups(async () => {
      for (let run = 0; run < RUNS; run++) times.push(await timed(path))
    })
    results[name] = {
      'time, ms': times[0] ?? 0,
      'again, ms': Math.min(...times),
      'p99, ms': latency.p99,
      'max, ms': latency.max,
    }
  }
  results['peak memory of the api'] = { 'MiB before': residentBefore, MiB: memoryMiB('peak') }
  for (const format of ['csv', 'jsonl']) {
    const latency = await lookups(async () => {
      tookMs = await timed(`/api/search/devices/export?format=${format}`)
    })
    results[`export as ${format}`] = {
      'time, ms': tookMs,
      'p99, ms': latency.p99,
      'max, ms': latency.max,
      MiB: memoryMiB('peak'),
    }
  }
  results['sweep, 1 % of the hashes expired'] = await sweep()
  console.table(results)
} finally {
  await api.stop()
  await redisServer.stop()
}

async function fill(): Promise<void> {
  const redis = new Redis(redisServer.url)
  for (let from = 0; from < DEVICES; from += 1000) {
    const pipeline = redis.pipeline()
    for (let i = from; i < Math.min(from + 1000, DEVICES); i++) {
      const key = `device:${idOf(i)}:metadata`
      pipeline.hset(key, {
        datatype_id: `dt-${i % 50}`,
        datatype_name: `Temperature ${i % 50}`,
        datatype_unit: i % 3 === 0 ? '°C' : '["°C","%"]',
        persist: 'true',
        last_updated: `2025-06-08T18:${String(i % 60).padStart(2, '0')}:17.${String(i % 1_000_000).padStart(6, '0')}+00:00`,
      })
      pipeline.pexpire(key, 86_400_000)
      pipeline.sadd('devices', idOf(i))
    }
    await pipeline.exec()
  }
  redis.disconnect()
}

/** As a worker does it every five minutes. */
async function sweep(): Promise<Record<string, string | number>> {
  const redis = new Redis(redisServer.url)
  for (let i = 0; i < DEVICES; i += 100) await redis.del(`device:${idOf(i)}:metadata`)
  const lease = createLease(redis, SWEEPER_LEASE_KEY, 'search-bench', SWEEP_LEASE_MS)
  const redisMs = cpuMs().redis
  const startedMs = performance.now()
  let removed: number | undefined
  const latency = await lookups(async () => {
    removed = await sweepOnce(createDeviceIndex(redis), lease, new AbortController().signal, () => undefined)
  })
  redis.disconnect()
  return {
    'time, ms': Math.round(performance.now() - startedMs),
    'Redis, CPU ms': cpuMs().redis - redisMs,
    'p99, ms': latency.p99,
    'max, ms': latency.max,
    removed: removed ?? 0,
  }
}

/** Not in the order of their numbers. */
function idOf(i: number): string {
  return `device-${String((i * 7919) % DEVICES).padStart(7, '0')}`
}

/** Reads to the end, and says how long that took. */
async function timed(path: string): Promise<number> {
  const startedMs = performance.now()
  const response = await fetch(api.apiUrl + path)
  let bytes = 0
  for await (const chunk of response.body ?? []) bytes += z.instanceof(Uint8Array).parse(chunk).length
  if (!response.ok || bytes === 0) throw new Error(`${path} returned ${response.status}`)
  return Math.round(performance.now() - startedMs)
}

/** The latencies of single lookups while something else is done. */
async function lookups(meanwhile: () => Promise<unknown>) {
  const done = new AbortController()
  const work = meanwhile().finally(() => done.abort())
  const times: number[] = []
  const pending: Promise<void>[] = []
  const intervalMs = 1000 / Number(options.lookups)
  const startedMs = performance.now()
  for (let sent = 0; !done.signal.aborted; sent++) {
    const waitMs = startedMs + sent * intervalMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    pending.push(lookUp(sent, times))
  }
  await Promise.all([work, ...pending])
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round((sorted[Math.floor((sorted.length - 1) * share)] ?? 0) * 10) / 10
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

async function lookUp(n: number, times: number[]): Promise<void> {
  const sentMs = performance.now()
  await (await fetch(`${api.apiUrl}/api/devices/${idOf((n * 31) % DEVICES)}`)).text()
  times.push(performance.now() - sentMs)
}

function memoryMiB(which: 'now' | 'peak'): number {
  return Math.round(residentMiB(api.pid, which))
}

/** CPU time of each process with all its threads. */
function cpuMs() {
  return { api: cpuUs(api.pid) / 1000, redis: cpuUs(redisServer.pid) / 1000 }
}

import { execFile, spawn, type StdioOptions } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { Redis } from 'ioredis'
import packageFile from '../../package.json' with { type: 'json' }
import { eventually } from '../support/eventually.ts'
import { reservePort } from '../support/servers/free-port.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { repository } from '../support/repository.ts'
import { cpuUs } from './worker/figures.ts'

/**
 * Measures how many lookups one api process answers, and in the same run its ceilings, Node.js and the framework alone. A static file of
 * the same server, with all its hooks, shows what a request costs without a lookup. wrk, the API and Redis share the processors. The
 * CPU time per request is the figure that other load on the machine does not change.
 */
const DEVICES = 20_000
const LOOKUP_IDS = 100
const run = promisify(execFile)

const options = new Command('api-bench')
  .option('--seconds <n>', 'length of one run', '5')
  .option('--runs <n>', 'runs of each kind', '3')
  .option('--connections <n>', 'connections of wrk', '48')
  .option('--against <folder>', 'another checkout, whose API takes turns with this one')
  .option('--json', 'print JSON instead of a table')
  .parse()
  .opts<{ seconds: string; runs: string; connections: string; against?: string; json?: true }>()

const NODE_FLAGS = packageFile.scripts.start.split(' ').filter((word) => word.startsWith('--'))

type Kind = {
  name: string
  path: string
  connections: number
  script?: string
  /** Measured on a server that does nothing else. */
  bare?: 'http' | 'fastify'
}
type Api = { readonly name: string; readonly url: string; readonly pid: number; stop(): Promise<void> }
type Run = { rate: number; p99Ms: number; apiUs: number; redisUs: number }

await run('wrk', ['-v']).catch((error: unknown) => {
  // `wrk -v` prints the version and exits with 1.
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    process.stderr.write('wrk is missing (as root on Debian or Ubuntu: apt-get install wrk)\n')
    process.exit(1)
  }
})

const folder = await mkdtemp(join(tmpdir(), 'api-bench-'))
const redisServer = await startOwnRedis()
const apis: Api[] = [await startApi('api', repository)]
if (options.against !== undefined) apis.push(await startApi('api of the other', options.against))
try {
  await fill()
  const results: Record<string, Record<string, string>> = {}
  const rates = new Map<string, number>()
  const all = await kinds()
  for (const kind of all) {
    const servers = kind.bare === undefined ? apis : [await startBare(kind.bare)]
    const runs = new Map<Api, Run[]>(servers.map((api) => [api, []]))
    for (let i = 0; i <= Number(options.runs); i++) {
      for (const api of servers) {
        const measured = await measure(api, kind)
        if (i > 0) runs.get(api)?.push(measured) // the first one warms up
      }
    }
    if (kind.bare !== undefined) for (const server of servers) await server.stop()
    for (const [api, measured] of runs) {
      const rate = series(measured.map((one) => one.rate))
      const name = kind.bare === undefined ? nameOf(kind.name, api) : kind.name
      rates.set(name, rate.median)
      results[name] = {
        'requests/s': text(rate),
        'p99, ms': text(series(measured.map(({ p99Ms }) => p99Ms))),
        'api, CPU µs per request': text(series(measured.map(({ apiUs }) => apiUs))),
        'Redis, CPU µs per request': text(series(measured.map(({ redisUs }) => redisUs))),
      }
    }
  }
  for (const api of apis) {
    for (const [kind, target] of Object.entries({
      'one device': [`${api.url}/api/devices/${idOf(1)}`],
      [`${LOOKUP_IDS} devices`]: lookupArguments(api.url),
    })) {
      const half = Math.floor((rates.get(nameOf(kind, api)) ?? 0) / 2)
      results[`${nameOf(kind, api)}, at ${half}/s`] = { 'p99, ms': String(await p99At(half, target)) }
    }
  }
  for (const api of apis) {
    const kind = all.find(({ script }) => script !== undefined)
    if (kind !== undefined) results[nameOf('a change, under load', api)] = await staleness(api, kind)
  }
  if (options.json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`)
  else console.table(results)
} finally {
  for (const api of apis) await api.stop()
  await redisServer.stop()
  await rm(folder, { recursive: true })
}

async function startApi(name: string, checkout: string): Promise<Api> {
  const metricsPort = await reservePort()
  const api = await startServer(name, checkout, '/readyz', (port) => ({
    args: ['cache-service/main.ts', 'api'],
    env: {
      PORT: String(port),
      METRICS_PORT: String(metricsPort.port),
      REDIS_URL: redisServer.url,
      LOG_LEVEL: 'WARN',
    },
  }))
  return {
    ...api,
    async stop() {
      await api.stop()
      await metricsPort.release()
    },
  }
}

function startBare(kind: 'http' | 'fastify'): Promise<Api> {
  return startServer(kind, repository, '/api/devices/x', (port) => ({
    args: [join(import.meta.dirname, 'bare-server.ts'), kind, String(port)],
    env: {},
  }))
}

/** @param path answers with 200 when the server is ready. */
async function startServer(
  name: string,
  checkout: string,
  path: string,
  command: (port: number) => { args: string[]; env: Record<string, string> },
): Promise<Api> {
  const { port, release } = await reservePort()
  const url = `http://127.0.0.1:${port}`
  const { args, env } = command(port)
  // Standard output is for the results.
  const stdio = ['ignore', 2, 'inherit'] satisfies StdioOptions
  const child = spawn(process.execPath, [...NODE_FLAGS, ...args], { cwd: checkout, env, stdio })
  process.once('exit', () => child.kill('SIGKILL'))
  await eventually(async () => {
    if (!(await fetch(`${url}${path}`)).ok) throw new Error('not ready')
  })
  return {
    name,
    url,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM')
      await release()
    },
  }
}

/** With one API there is nothing to tell apart. */
function nameOf(kind: string, api: Api): string {
  return apis.length === 1 ? kind : `${kind}: ${api.name}`
}

async function fill(): Promise<void> {
  const redis = new Redis(redisServer.url)
  for (let from = 0; from < DEVICES; from += 1000) {
    const pipeline = redis.pipeline()
    for (let i = from; i < from + 1000; i++) {
      const key = `device:${idOf(i)}:metadata`
      pipeline.hset(key, {
        datatype_id: `dt-${i % 50}`,
        datatype_name: `Temperature and humidity ${i % 50}`,
        datatype_unit: i % 3 === 0 ? '°C' : '["°C","%"]',
        persist: i % 2 === 0 ? 'true' : '[true,false]',
        last_updated: '2025-06-08T18:27:17.476623+00:00',
      })
      pipeline.pexpire(key, 86_400_000)
      pipeline.sadd('devices', idOf(i))
    }
    await pipeline.exec()
  }
  redis.disconnect()
}

function idOf(i: number): string {
  return `device-${String(i).padStart(6, '0')}`
}

async function kinds(): Promise<Kind[]> {
  const random = `string.format('device-%06d', math.random(0, ${DEVICES - 1}))`
  const single = join(folder, 'single.lua')
  const many = join(folder, 'many.lua')
  await writeFile(single, `request = function() return wrk.format('GET', '/api/devices/' .. ${random}) end`)
  await writeFile(
    many,
    `wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
request = function()
  local ids = {}
  for i = 1, ${LOOKUP_IDS} do ids[i] = '"' .. ${random} .. '"' end
  return wrk.format(nil, '/api/devices/lookup', nil, '{"ids":[' .. table.concat(ids, ',') .. ']}')
end`,
  )
  const connections = Number(options.connections)
  return [
    { name: 'ceiling: Node.js alone', path: '/api/devices/x', connections, bare: 'http' },
    { name: 'ceiling: Fastify alone', path: '/api/devices/x', connections, bare: 'fastify' },
    { name: 'a static file, no Redis', path: '/page/theme.js', connections },
    { name: 'one device', path: '/', connections, script: single },
    { name: `${LOOKUP_IDS} devices`, path: '/', connections: 16, script: many },
  ]
}

async function measure(api: Api, { connections, path, script }: Kind): Promise<Run> {
  const before = { api: cpuUs(api.pid), redis: cpuUs(redisServer.pid) }
  const args = ['-t1', `-c${connections}`, `-d${options.seconds}s`, '--latency']
  const { stdout } = await run('wrk', [
    ...args,
    ...(script === undefined ? [] : ['-s', script]),
    api.url + path,
  ])
  const after = { api: cpuUs(api.pid), redis: cpuUs(redisServer.pid) }
  if (stdout.includes('Non-2xx')) throw new Error(`some requests failed: ${stdout}`)
  const count = numberOf(stdout, /(\d+) requests in/)
  const [, p99 = '', unit = ''] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? []
  const perRequest = (us: number) => Math.round(us / count)
  return {
    rate: Math.round(numberOf(stdout, /Requests\/sec:\s+([\d.]+)/)),
    p99Ms: Number(p99) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? 1),
    apiUs: perRequest(after.api - before.api),
    redisUs: perRequest(after.redis - before.redis),
  }
}

/**
 * Changes a device in Redis that the API has just returned, and asks again as soon as Redis has acknowledged the change, while
 * wrk asks for all devices: how often, and for how long, is the answer the old one?
 */
async function staleness(api: Api, kind: Kind): Promise<Record<string, string>> {
  const redis = new Redis(redisServer.url)
  const id = idOf(1)
  const nameOfDevice = async () => {
    const device = (await (await fetch(`${api.url}/api/devices/${id}`)).json()) as { datatype_name: string }
    return device.datatype_name
  }
  const load = measure(api, kind)
  const loaded = new AbortController()
  void load.finally(() => loaded.abort())
  let changes = 0
  let old = 0
  let longestMs = 0
  while (!loaded.signal.aborted) {
    changes++
    await nameOfDevice()
    await redis.hset(`device:${id}:metadata`, 'datatype_name', String(changes))
    const changedAt = performance.now()
    for (let tries = 0; (await nameOfDevice()) !== String(changes); tries++) {
      if (tries === 0) old++
      longestMs = Math.max(longestMs, performance.now() - changedAt)
    }
  }
  await load
  redis.disconnect()
  return { 'old answers': `${old} of ${changes}`, 'p99, ms': `longest: ${longestMs.toFixed(1)}` }
}

/** wrk cannot hold a rate; autocannon can, and its latencies do not include the delay that it adds itself. */
async function p99At(rate: number, target: readonly string[]): Promise<number> {
  const args = ['--json', '-c', '32', '-R', String(rate), '-d', options.seconds, ...target]
  const program = join(repository, 'node_modules/autocannon/autocannon.js')
  const { stdout } = await run(process.execPath, [program, ...args])
  return numberOf(stdout, /"p99":([\d.]+)/)
}

function lookupArguments(url: string): string[] {
  const ids = Array.from({ length: LOOKUP_IDS }, (_, i) => idOf(i * 7))
  const body = JSON.stringify({ ids })
  return ['-m', 'POST', '-H', 'content-type=application/json', '-b', body, `${url}/api/devices/lookup`]
}

function numberOf(report: string, pattern: RegExp): number {
  const found = pattern.exec(report)?.[1]
  if (found === undefined) throw new Error(`unexpected output: ${report}`)
  return Number(found)
}

function series(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  return { min: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

function text({ max, median, min }: ReturnType<typeof series>): string {
  return `${min} / ${median} / ${max}`
}

import { spawn } from 'node:child_process'
import { Command } from 'commander'
import { Redis } from 'ioredis'
import { DeviceCacheClient } from '../../shared/client/client.ts'
import { eventually } from '../support/eventually.ts'
import { reservePort } from '../support/servers/free-port.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { repository } from '../support/repository.ts'

/**
 * Measures how many devices per second one process can get: with the client, which folds gets into lookups; with the
 * client and its near cache; and with a plain fetch for each, all with the same number of concurrent callers. All three
 * take turns in one run; the api and Redis share the processors with them.
 */
const options = new Command('client-bench')
  .option('--seconds <n>', 'length of one run', '3')
  .option('--runs <n>', 'runs of each kind', '3')
  .option('--callers <n>', 'concurrent callers, each asking for one device after another', '200')
  .option('--devices <n>', 'devices, chosen at random', '20000')
  .parse()
  .opts<{ seconds: string; runs: string; callers: string; devices: string }>()

const deviceCount = Number(options.devices)
const redisServer = await startOwnRedis()
const ports = [await reservePort(), await reservePort()]
const [port = 0, metricsPort = 0] = ports.map((reserved) => reserved.port)
const baseUrl = `http://127.0.0.1:${port}`
const api = spawn(process.execPath, ['cache-service/main.ts', 'api'], {
  cwd: repository,
  env: { PORT: `${port}`, METRICS_PORT: `${metricsPort}`, REDIS_URL: redisServer.url, LOG_LEVEL: 'WARN' },
  stdio: 'inherit',
})
process.once('exit', () => api.kill('SIGKILL'))

const folding = new DeviceCacheClient({ baseUrl })
const near = new DeviceCacheClient({ baseUrl, nearCache: { maxEntries: deviceCount } })
const kinds: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
  'fetch for each': async (id) => (await fetch(`${baseUrl}/api/devices/${encodeURIComponent(id)}`)).json(),
  'client.get': (id) => folding.get(id),
  'client.get, near cache': (id) => near.get(id),
}

try {
  await fill()
  await eventually(async () => {
    if (!(await fetch(`${baseUrl}/readyz`)).ok) throw new Error('not ready')
  })
  const rates = new Map(Object.keys(kinds).map((name): [string, number[]] => [name, []]))
  for (let i = 0; i <= Number(options.runs); i++) {
    for (const [name, ask] of Object.entries(kinds)) {
      const rate = await measure(ask)
      if (i > 0) rates.get(name)?.push(rate) // the first one warms up
    }
  }
  const plain = median(rates.get('fetch for each') ?? [])
  const rows = [...rates].map(([name, all]) => [
    name,
    {
      'min gets/s': Math.round(Math.min(...all)),
      median: Math.round(median(all)),
      max: Math.round(Math.max(...all)),
      'times a fetch for each': Number((median(all) / plain).toFixed(1)),
    },
  ])
  console.table(Object.fromEntries(rows))
  console.log('client:', folding.stats)
} finally {
  folding.close()
  near.close()
  api.kill('SIGTERM')
  await redisServer.stop()
  for (const { release } of ports) await release()
}

async function measure(ask: (id: string) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  const until = startedAt + Number(options.seconds) * 1_000
  let count = 0
  const caller = async () => {
    while (performance.now() < until) {
      if ((await ask(idOf(Math.floor(Math.random() * deviceCount)))) === undefined) throw new Error('a miss')
      // A hit in the near cache never yields to the event loop; without this nothing else would run.
      if (++count % 1_000 === 0) await new Promise(setImmediate)
    }
  }
  await Promise.all(Array.from({ length: Number(options.callers) }, caller))
  return count / ((performance.now() - startedAt) / 1_000)
}

async function fill(): Promise<void> {
  const redis = new Redis(redisServer.url)
  const pipeline = redis.pipeline()
  for (let i = 0; i < deviceCount; i++) {
    const key = `device:${idOf(i)}:metadata`
    pipeline.hset(key, {
      datatype_id: 't',
      datatype_name: 'Temperature',
      datatype_unit: '°C',
      persist: 'true',
    })
    pipeline.pexpire(key, 86_400_000)
  }
  await pipeline.exec()
  redis.disconnect()
}

function idOf(i: number): string {
  return `device-${String(i).padStart(6, '0')}`
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

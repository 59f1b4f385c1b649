import { readdirSync, readFileSync } from 'node:fs'
import { GROUP, TOPIC, type SoakPlatform } from './platform.ts'
import type { Allowance } from './flatness.ts'

/** What is measured. `allowance`: it must be flat in the second half. */
export const SERIES = {
  workerMiB: {
    title: 'Memory of the worker that is never stopped, MiB',
    allowance: { absolute: 16, share: 0.15 },
  },
  apiMiB: { title: 'Memory of the API, MiB', allowance: { absolute: 16, share: 0.15 } },
  workerFiles: { title: 'File descriptors of that worker', allowance: { absolute: 4, share: 0 } },
  apiFiles: { title: 'File descriptors of the API', allowance: { absolute: 8, share: 0 } },
  connections: { title: 'Connections to Redis', allowance: { absolute: 4, share: 0 } },
  keys: { title: 'Keys in Redis', allowance: { absolute: 20, share: 0.01 } },
  redisMiB: { title: 'Memory of Redis, MiB', allowance: { absolute: 4, share: 0.15 } },
  lag: { title: 'Lag, records', allowance: { absolute: 5_000, share: 0.25 } },
  perSecond: { title: 'Records that Kafka acknowledged per second', allowance: undefined },
} as const satisfies Record<string, { title: string; allowance: Allowance | undefined }>

export type SeriesName = keyof typeof SERIES

export type Sample = {
  readonly seconds: number
  /** No fault is in effect, and the service has recovered from the last one. */
  readonly isCalm: boolean
  /** What could not be measured, because a server was down, is missing. */
  readonly values: Partial<Record<SeriesName, number>>
}

export async function measure(platform: SoakPlatform): Promise<Partial<Record<SeriesName, number>>> {
  const { api, redis, redisServer, steady } = platform
  const found = await Promise.all([
    attempt(async () => ({ workerMiB: residentMiB(steady.pid), workerFiles: openFiles(steady.pid) })),
    attempt(async () => ({ apiMiB: residentMiB(api.pid), apiFiles: openFiles(api.pid) })),
    attempt(async () => ({ redisMiB: residentMiB(redisServer.pid) })),
    attempt(async () => {
      const info = await redis.info('clients')
      return { connections: Number(/connected_clients:(\d+)/.exec(info)?.[1]), keys: await redis.dbsize() }
    }),
    attempt(async () => ({ lag: await lagOf(platform) })),
  ])
  return Object.assign({}, ...found)
}

/** Of all partitions, according to Kafka. */
export async function lagOf({ admin }: SoakPlatform): Promise<number> {
  const [committed] = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
  const ends = await admin.fetchTopicOffsets(TOPIC)
  const next = new Map(committed?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  return ends.reduce((sum, { high, low, partition }) => {
    const from = Math.max(next.get(partition) ?? 0, Number(low))
    return sum + Math.max(0, Number(high) - from)
  }, 0)
}

/** Records that the group has committed. */
export async function committedBy({ admin }: SoakPlatform): Promise<number> {
  const [committed] = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
  return (committed?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
}

/** A server that is down or hangs must not delay the other measurements for long. */
async function attempt<T extends object>(measurement: () => Promise<T>): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => late.resolve(undefined), 2_000)
  try {
    return await Promise.race([measurement(), late.promise])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

function residentMiB(pid: number): number {
  const [, kib = ''] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

import { Redis } from 'ioredis'
import { startOwnRedis } from '../support/servers/servers.ts'
import { redisCpuUs } from './worker/figures.ts'

/**
 * How should the arguments of a script be packed? `node test/bench/script-packing.ts` writes 100,000 devices in calls of
 * 128, in four ways that take turns, and prints the best round of each: the processor time of Node.js and Redis per
 * device, in microseconds. The scripts do what apply-updates.lua did for a newer record when the packing was chosen.
 */
const DEVICES = 100_000
const PER_CALL = 128
const CALLS_IN_FLIGHT = 32
const ROUNDS = 4

/** @param unpackEntry Lua code before the loop, `@each`, and Lua code at the start of each iteration. */
const body = (unpackEntry: string, hset: string) => `
  local out = {}
  ${unpackEntry.split('@each')[0] ?? ''}
  for i = 1, #KEYS do
    ${unpackEntry.split('@each')[1] ?? ''}
    local stored = redis.pcall('HGET', KEYS[i], 'last_updated')
    if stored == false or stored < last_updated then
      redis.pcall('HSET', KEYS[i], ${hset})
      redis.call('HLEN', KEYS[i])
      redis.call('PEXPIREAT', KEYS[i], expiry)
      out[i] = 2
    else
      out[i] = 0
    end
  end
  return out`

type Entry = { readonly expiry: number; readonly fields: readonly string[] }
type Way = { readonly script: string; pack(entries: readonly Entry[]): (string | number | Buffer)[] }

const WAYS: Readonly<Record<string, Way>> = {
  'one argument per field': {
    script: body(
      `local p = 1 @each local n, expiry = tonumber(ARGV[p]), ARGV[p + 1]
       local first, last = p + 2, p + 1 + n; local last_updated = ARGV[last]; p = last + 1`,
      'unpack(ARGV, first, last)',
    ),
    pack: (entries) => entries.flatMap(({ expiry, fields }) => [fields.length, expiry, ...fields]),
  },
  'MessagePack, one argument per device': {
    script: body(
      '@each local f = cmsgpack.unpack(ARGV[i]); local expiry = table.remove(f); local last_updated = f[#f]',
      'unpack(f)',
    ),
    pack: (entries) => entries.map(messagePack),
  },
  'JSON, one argument per device': {
    script: body(
      '@each local f = cjson.decode(ARGV[i]); local expiry = table.remove(f); local last_updated = f[#f]',
      'unpack(f)',
    ),
    pack: (entries) => entries.map(({ expiry, fields }) => JSON.stringify([...fields, expiry])),
  },
  'JSON, one argument per call': {
    script: body(
      'local all = cjson.decode(ARGV[1]) @each local f = all[i]; local expiry = table.remove(f); local last_updated = f[#f]',
      'unpack(f)',
    ),
    pack: (entries) => [JSON.stringify(entries.map(({ expiry, fields }) => [...fields, expiry]))],
  },
}

const server = await startOwnRedis()
const redis = new Redis(server.url)
const best = new Map<string, { node: number; redis: number }>()
try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, way] of Object.entries(WAYS)) {
      const cost = await measure(way, round)
      const before = best.get(name) ?? { node: Infinity, redis: Infinity }
      best.set(name, { node: Math.min(before.node, cost.node), redis: Math.min(before.redis, cost.redis) })
    }
  }
} finally {
  redis.disconnect()
  await server.stop()
}
console.table(Object.fromEntries([...best].map(([name, cost]) => [name, rounded(cost)])))

async function measure({ script, pack }: Way, round: number) {
  const sha = String(await redis.script('LOAD', script))
  const expiry = Date.now() + 86_400_000
  const lastUpdated = `2025-06-08T18:27:${String(round).padStart(2, '0')}.476623+00:00`
  const [nodeBefore, redisBefore] = [process.cpuUsage(), await redisCpuUs(redis)]
  let inFlight: Promise<unknown>[] = []
  for (let from = 0; from < DEVICES; from += PER_CALL) {
    const count = Math.min(PER_CALL, DEVICES - from)
    const keys = Array.from({ length: count }, (_, i) => `device:efento-${from + i}:metadata`)
    const entries = keys.map((): Entry => ({ expiry, fields: deviceFields(lastUpdated) }))
    inFlight.push(redis.evalsha(sha, keys.length, ...keys, ...pack(entries)))
    if (inFlight.length === CALLS_IN_FLIGHT) {
      await Promise.all(inFlight)
      inFlight = []
    }
  }
  await Promise.all(inFlight)
  const used = process.cpuUsage(nodeBefore)
  const cost = {
    node: (used.user + used.system) / DEVICES,
    redis: ((await redisCpuUs(redis)) - redisBefore) / DEVICES,
  }
  await redis.flushall()
  return cost
}

function deviceFields(lastUpdated: string): string[] {
  const id = '099950d8-36f6-45cc-81e7-4ef5e8e25d94'
  const known = ['datatype_id', id, 'datatype_name', 'temperature', 'datatype_unit', 'C', 'persist', 'true']
  return [...known, 'last_updated', lastUpdated]
}

/** Only what is needed here: short ASCII strings and one double. */
function messagePack({ expiry, fields: texts }: Entry): Buffer {
  const parts: Buffer[] = [Buffer.from([0x90 | (texts.length + 1)])]
  for (const text of texts) {
    parts.push(Buffer.from(text.length < 32 ? [0xa0 | text.length] : [0xd9, text.length]), Buffer.from(text))
  }
  const number = Buffer.alloc(9)
  number[0] = 0xcb
  number.writeDoubleBE(expiry, 1)
  return Buffer.concat([...parts, number])
}

function rounded(cost: { node: number; redis: number }) {
  return {
    'Node, µs per device': Number(cost.node.toFixed(1)),
    'Redis, µs per device': Number(cost.redis.toFixed(1)),
  }
}

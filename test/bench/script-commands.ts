import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { startOwnRedis } from '../support/servers/servers.ts'
import { median, redisCpuUs } from './worker/figures.ts'

/**
 * What bounds the script that applies updates? `node test/bench/script-commands.ts` rewrites 100,000 devices in calls of
 * 128: with the script itself, with one that only decodes its argument, and with one command more per device. They take
 * turns; the median is printed: the processor time of Redis per device, in microseconds, and what a command adds.
 */
const DEVICES = 100_000
const PER_CALL = 128
const CALLS_IN_FLIGHT = 8
const ROUNDS = 9
const DATATYPE_ID = '099950d8-36f6-45cc-81e7-4ef5e8e25d94'

const DECODE_ONLY = 'decoding the argument'
const SCRIPTS: Readonly<Record<string, string>> = {
  'apply-updates.lua': readFileSync(
    new URL('../../cache-service/redis/devices/apply-updates.lua', import.meta.url),
    'utf8',
  ),
  [DECODE_ONLY]: withCommand(''),
  '+ HGETALL': withCommand("redis.call('HGETALL', key)"),
  '+ HSET of last_updated': withCommand("redis.call('HSET', key, 'last_updated', update[2])"),
  '+ HSET of all fields': withCommand("redis.call('HSET', key, 'last_updated', unpack(update, 2))"),
  '+ PEXPIREAT GT': withCommand("redis.call('PEXPIREAT', key, update[1], 'GT')"),
}

function withCommand(command: string): string {
  return `
    local updates, statuses = cjson.decode(ARGV[1]), {}
    for i = 1, #updates do
      local key, update = KEYS[i], updates[i]
      ${command}
      statuses[i] = 2
    end
    return { statuses, 0 }`
}

const server = await startOwnRedis()
const redis = new Redis(server.url)
const costs = new Map<string, number[]>(Object.keys(SCRIPTS).map((name) => [name, []]))
let eventTimeMs = Date.now()
try {
  await rewriteAll(SCRIPTS['apply-updates.lua'] ?? '')
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, script] of Object.entries(SCRIPTS)) costs.get(name)?.push(await rewriteAll(script))
  }
} finally {
  redis.disconnect()
  await server.stop()
}
const medianOf = (name: string) => median(costs.get(name) ?? [])
const decoding = medianOf(DECODE_ONLY)
console.table(
  Object.fromEntries(
    Object.keys(SCRIPTS).map((name) => [
      name,
      {
        'Redis, µs per device': Number(medianOf(name).toFixed(1)),
        'of which the command': name.startsWith('+') ? Number((medianOf(name) - decoding).toFixed(1)) : '',
      },
    ]),
  ),
)

/** @returns processor time of Redis per device, in microseconds. */
async function rewriteAll(script: string): Promise<number> {
  const sha = String(await redis.script('LOAD', script))
  eventTimeMs += 1000
  const lastUpdated = new Date(eventTimeMs).toISOString().replace('Z', '000+00:00')
  const expiry = eventTimeMs + 86_400_000
  const fields = [
    'datatype_id',
    DATATYPE_ID,
    'datatype_name',
    'temperature',
    'datatype_unit',
    'C',
    'persist',
    'true',
  ]
  const before = await redisCpuUs(redis)
  let inFlight: Promise<unknown>[] = []
  for (let from = 0; from < DEVICES; from += PER_CALL) {
    const keys = Array.from(
      { length: Math.min(PER_CALL, DEVICES - from) },
      (_, i) => `device:efento-${((from + i) * 7919) % DEVICES}:metadata`,
    )
    const updates = JSON.stringify(keys.map(() => [expiry, lastUpdated, ...fields]))
    inFlight.push(redis.evalsha(sha, keys.length + 1, ...keys, 'devices', updates, '9999'))
    if (inFlight.length === CALLS_IN_FLIGHT) {
      await Promise.all(inFlight)
      inFlight = []
    }
  }
  await Promise.all(inFlight)
  return ((await redisCpuUs(redis)) - before) / DEVICES
}

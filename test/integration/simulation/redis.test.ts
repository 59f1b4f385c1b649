import type { Redis } from 'ioredis'
import * as fc from 'fast-check'
import { expect, inject, test } from 'vitest'
import { DEVICE_INDEX_KEY, progressKey } from '../../../shared/contract/keys.ts'
import { SCRIPT_NAMES, scriptSource } from '../../simulation/servers/scripts.ts'
import { useRedisDatabase } from '../../support/test-scope.ts'
import { SimulatedRedis, type RedisReply, type ScriptName } from '../../simulation/servers/simulated-redis.ts'

type Command =
  | { readonly script: ScriptName; readonly keys: readonly string[]; readonly args: readonly string[] }
  | {
      readonly command: 'HSET' | 'HDEL' | 'HMGET' | 'DEL' | 'SADD' | 'SREM' | 'SET'
      readonly args: readonly string[]
    }

const INDEX = DEVICE_INDEX_KEY
const PROGRESS = progressKey('g', 't')
const DAY_MS = 86_400_000
const TRUSTED_UP_TO = '2026-02-01T00:00:00.000000+00:00'

const id = fc.constantFrom('a', 'b', 'c', 'd')
const keyOf = (device: string) => `device:${device}:metadata`
const time = fc.constantFrom(
  '2026-01-01T00:00:00.000000+00:00',
  '2026-01-02T00:00:00.000000+00:00',
  '2026-01-03T00:00:00.000000+00:00',
  '2026-03-01T00:00:00.000000+00:00',
  'not a time',
)
const content = fc.constantFrom(
  [],
  ['datatype_id', '1'],
  ['datatype_id', '2'],
  ['datatype_id', '1', 'é', ''],
  ['datatype_id', '1\0é', '\u{1f600}', 'x'],
  ['persist', 'true'],
)
const expiry = fc.constantFrom(0, Date.now() + DAY_MS, Date.now() + 2 * DAY_MS, Date.now() - DAY_MS)
const offset = fc.constantFrom('', '1', '2', '9', '10')
const claim = fc.constantFrom('', 'c1', 'c2')

const update = fc.record({ id, time, content, expiry })
const updates = fc.uniqueArray(update, { selector: (one) => one.id, minLength: 1, maxLength: 4 })
const mark = fc.constantFrom('', 'one:1', 'one:2', 'another:1')
const step = fc.option(
  fc.tuple(fc.constantFrom('0', '1'), offset, fc.constantFrom('2', '9', '10', '11'), mark, mark),
)

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(updates, step).map(([writes, advance]): Command => ({
      script: 'apply-updates',
      keys: [...writes.map((one) => keyOf(one.id)), INDEX, ...(advance === null ? [] : [PROGRESS])],
      args: [
        JSON.stringify(writes.map((one) => [one.expiry, one.time, ...one.content])),
        TRUSTED_UP_TO,
        ...(advance ?? []),
      ],
    })),
  },
  // As on a master of a Cluster: the index and the progress are elsewhere.
  updates.map((writes): Command => ({
    script: 'apply-updates',
    keys: writes.map((one) => keyOf(one.id)),
    args: [JSON.stringify(writes.map((one) => [one.expiry, one.time, ...one.content])), TRUSTED_UP_TO],
  })),
  fc.tuple(id, time).map(([device, upTo]): Command => ({
    script: 'delete-devices',
    keys: [keyOf(device)],
    args: [JSON.stringify([upTo]), TRUSTED_UP_TO],
  })),
  fc.uniqueArray(id, { minLength: 1 }).map((ids): Command => ({
    script: 'find-absent',
    keys: ids.map(keyOf),
    args: [],
  })),
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('0', '1'), offset, claim, offset, claim)
      .map((args): Command => ({ script: 'advance-copy', keys: [PROGRESS], args })),
  },
  {
    weight: 2,
    arbitrary: fc
      .uniqueArray(fc.tuple(id, time), { selector: ([device]) => device, minLength: 1, maxLength: 3 })
      .map((deletes): Command => ({
        script: 'delete-devices',
        keys: [...deletes.map(([device]) => keyOf(device)), INDEX],
        args: [JSON.stringify(deletes.map(([, upTo]) => upTo)), TRUSTED_UP_TO],
      })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('0', '1'), offset, fc.constantFrom('2', '9', '10', '11'))
      .map((args): Command => ({ script: 'advance-progress', keys: [PROGRESS], args })),
  },
  fc
    .tuple(fc.constantFrom('0', '1'), offset, fc.constantFrom('2', '9', '10', '11'))
    .map(([field, expected, next]): Command => ({
      script: 'replace-progress',
      keys: [PROGRESS],
      args: [field, expected, next, `${field}:requested`],
    })),
  fc.tuple(fc.constantFrom('0', '1:until'), fc.constantFrom('', '4', '12')).map((args): Command => ({
    script: 'set-progress',
    keys: [PROGRESS],
    args: [...args, '0:requested', ''],
  })),
  fc.constant<Command>({ script: 'request-rebuild', keys: [PROGRESS], args: ['0:requested', '1:requested'] }),
  fc.tuple(id, content).map(([device, fields]): Command => ({
    command: 'HSET',
    args: [keyOf(device), 'foreign', 'field', ...fields],
  })),
  fc
    .tuple(fc.constantFrom('0', '1'), fc.constantFrom('', 'x', '-1', '9.0', '12345678901234567'))
    .map((damaged): Command => ({ command: 'HSET', args: [PROGRESS, ...damaged] })),
  id.map((device): Command => ({ command: 'HDEL', args: [keyOf(device), 'persist', 'last_updated'] })),
  id.map((device): Command => ({ command: 'DEL', args: [keyOf(device)] })),
  id.map((device): Command => ({ command: 'SREM', args: [INDEX, device] })),
  id.map((device): Command => ({ command: 'SADD', args: [INDEX, device] })),
  id.map((device): Command => ({ command: 'SET', args: [keyOf(device), 'text'] })),
  fc.constant<Command>({ command: 'HMGET', args: [PROGRESS, '0', '0:requested', '0:part', '1', '1:part'] }),
)

async function onReal(redis: Redis, one: Command): Promise<RedisReply> {
  const reply =
    'script' in one
      ? redis.eval(scriptSource(one.script), one.keys.length, ...one.keys, ...one.args)
      : redis.call(one.command, ...one.args)
  return await (reply as Promise<RedisReply>).catch((error: Error) => `error ${error.message.split(' ')[0]}`)
}

function onSimulated(redis: SimulatedRedis, one: Command): RedisReply {
  try {
    return 'script' in one
      ? redis.evaluate(one.script, one.keys, one.args)
      : redis.execute(one.command, ...one.args)
  } catch (error) {
    return `error ${(error as Error).message.split(' ')[0]}`
  }
}

/** A refusal within a list of statuses names the key's fault in the server's words. */
function comparable(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(comparable)
  return typeof reply === 'string' && reply.includes('WRONGTYPE') ? 'WRONGTYPE' : reply
}

async function contentOfReal(redis: Redis) {
  const keys = (await redis.keys('device:*')).toSorted()
  const hashes = await Promise.all(
    keys.map(async (key) => [
      key,
      (await redis.type(key)) === 'hash' ? await redis.hgetall(key) : 'text',
      await redis.pexpiretime(key),
    ]),
  )
  return [hashes, (await redis.smembers(INDEX)).toSorted(), await redis.hgetall(PROGRESS)]
}

function contentOfSimulated(redis: SimulatedRedis) {
  const keys = redis
    .keys()
    .filter((key) => key.startsWith('device:'))
    .toSorted()
  const hashes = keys.map((key) => {
    const hash = redis.hash(key)
    return [key, hash === undefined ? 'text' : Object.fromEntries(hash), redis.expiryOf(key) ?? -1]
  })
  return [hashes, [...redis.set(INDEX)].toSorted(), Object.fromEntries(redis.hash(PROGRESS) ?? [])]
}

test(
  'the simulated Redis answers any list of commands as a real one does, and then holds the same',
  { timeout: 120_000 },
  async () => {
    const database = await useRedisDatabase(inject('redisUrl'))
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 25 }), async (commands) => {
          await database.client.flushdb()
          const simulated = new SimulatedRedis(() => Date.now())
          for (const script of SCRIPT_NAMES) simulated.scripts.add(script)
          for (const one of commands) {
            const real = await onReal(database.client, one)
            expect(comparable(onSimulated(simulated, one))).toEqual(comparable(real))
          }
          expect(contentOfSimulated(simulated)).toEqual(await contentOfReal(database.client))
        }),
        { numRuns: 300 },
      )
    } finally {
      await database.release()
    }
  },
)

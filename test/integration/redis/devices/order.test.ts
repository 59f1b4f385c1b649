import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { compareStates, type DeviceState } from '../../../../cache-service/core/records/order.ts'
import {
  createDeviceWriter,
  type DeviceWriter,
} from '../../../../cache-service/redis/devices/device-writer.ts'
import { awkwardPair } from '../../../support/records/arbitrary-states.ts'
import { readHash } from '../../../support/servers/redis-connection.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { writePlan } from '../../../support/records/write-plan.ts'

const EXPIRES_AT_MS = Date.now() + 3_600_000

let database: RedisDatabase
let redis: Redis
let writer: DeviceWriter

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
  writer = createDeviceWriter(redis, { maxKeys: 1_000, maxBytes: 1_000_000 })
})
afterAll(() => database.release())

async function write(states: Readonly<Record<string, DeviceState>>) {
  const updates = Object.entries(states).map(([id, state]) => ({ id, ...state, expiresAtMs: EXPIRES_AT_MS }))
  return (await writer.write(writePlan(updates))).updates
}

/** The state as Redis holds it: pairs in no particular order. */
function asHash({ lastUpdated, fields }: DeviceState) {
  const pairs: [string, string][] = [['last_updated', lastUpdated]]
  for (let i = 0; i < fields.length; i += 2) pairs.push([fields[i] ?? '', fields[i + 1] ?? ''])
  return { fields: Object.fromEntries(pairs), expiresAtMs: EXPIRES_AT_MS }
}

test('of any two states, the script and the core take the same one for the greater, in either order', async () => {
  await fc.assert(
    fc.asyncProperty(awkwardPair, async ([a, b]) => {
      await redis.flushdb()
      expect(await write({ 'a-first': a, 'b-first': b })).toEqual(['changed', 'changed'])
      const order = Math.sign(compareStates(a, b))
      const statuses = ['changed', 'unchanged', 'stale']
      expect(await write({ 'a-first': b, 'b-first': a })).toEqual([statuses[order + 1], statuses[1 - order]])
      const greatest = asHash(order < 0 ? b : a)
      expect(await readHash(redis, 'device:a-first:metadata')).toEqual(greatest)
      expect(await readHash(redis, 'device:b-first:metadata')).toEqual(greatest)
    }),
    { numRuns: 500 },
  )
})

test('the order does not depend on how the hash was written', async () => {
  await fc.assert(
    fc.asyncProperty(awkwardPair, fc.boolean(), async ([stored, update], isReversed) => {
      await redis.flushdb()
      const pairs = Object.entries(asHash(stored).fields)
      await redis.hset('device:x:metadata', ...(isReversed ? pairs.toReversed() : pairs).flat())
      const expected = ['changed', 'unchanged', 'stale'][Math.sign(compareStates(stored, update)) + 1]
      expect(await write({ x: update })).toEqual([expected])
    }),
    { numRuns: 250 },
  )
})

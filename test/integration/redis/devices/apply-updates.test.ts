import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import type { ScriptLimits } from '../../../../cache-service/redis/devices/script-calls.ts'
import { createProgressStore } from '../../../../cache-service/redis/workers/group-progress.ts'
import { readHash } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedis } from '../../../support/servers/servers.ts'
import { uniqueName, useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { timeText, writePlan, type PlannedUpdate } from '../../../support/records/write-plan.ts'

const LIMITS: ScriptLimits = { maxKeys: 1_000, maxBytes: 1_000_000 }
const NOW_MS = Date.now()
const HOUR_MS = 3_600_000
const KEY = 'device:a:metadata'

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

const update = (overrides: Partial<PlannedUpdate> = {}): PlannedUpdate => ({
  id: 'a',
  lastUpdated: timeText(NOW_MS),
  fields: ['datatype_id', '7', 'persist', 'true'],
  expiresAtMs: NOW_MS + HOUR_MS,
  ...overrides,
})

async function write(...updates: PlannedUpdate[]) {
  return (await createDeviceWriter(redis, LIMITS).write(writePlan(updates, [], NOW_MS))).updates
}

describe('an update', () => {
  test('of an unknown device is written with its expiry', async () => {
    expect(await write(update())).toEqual(['changed'])
    expect(await readHash(redis, KEY)).toEqual({
      fields: { datatype_id: '7', persist: 'true', last_updated: timeText(NOW_MS) },
      expiresAtMs: NOW_MS + HOUR_MS,
    })
  })

  test('that is later replaces the hash and deletes the fields that it lacks', async () => {
    await write(
      update({ fields: ['datatype_id', '7', 'datatype_unit', '°C', 'extra', 'x', 'persist', 'true'] }),
    )
    const lastUpdated = timeText(NOW_MS, 1)
    expect(await write(update({ lastUpdated, fields: ['datatype_name', 'n', 'persist', 'false'] }))).toEqual([
      'changed',
    ])
    expect((await readHash(redis, KEY))?.fields).toEqual({
      datatype_name: 'n',
      persist: 'false',
      last_updated: lastUpdated,
    })
  })

  test('that is earlier changes nothing', async () => {
    await write(update())
    const before = await readHash(redis, KEY)
    const older = { lastUpdated: timeText(NOW_MS, -1), fields: ['zzz', 'zzz'] }
    expect(await write(update(older))).toEqual(['stale'])
    expect(await readHash(redis, KEY)).toEqual(before)
  })

  test('that is equal changes nothing, unlike a later one with the same content', async () => {
    await write(update())
    expect(await write(update())).toEqual(['unchanged'])
    const lastUpdated = timeText(NOW_MS, 1)
    expect(await write(update({ lastUpdated }))).toEqual(['changed'])
    expect((await readHash(redis, KEY))?.fields['last_updated']).toBe(lastUpdated)
  })

  test('at an equal time wins if its content is greater, in either order', async () => {
    const [less, greater] = [
      update({ fields: ['datatype_id', '1'] }),
      update({ fields: ['datatype_id', '2'] }),
    ]
    expect(await write(less)).toEqual(['changed'])
    expect(await write(greater)).toEqual(['changed'])
    expect(await write(less)).toEqual(['stale'])
    expect((await readHash(redis, KEY))?.fields['datatype_id']).toBe('2')
  })

  test('without fields results in a hash with only last_updated', async () => {
    expect(await write(update({ fields: [] }))).toEqual(['changed'])
    expect(await write(update({ fields: [] }))).toEqual(['unchanged'])
    expect((await readHash(redis, KEY))?.fields).toEqual({ last_updated: timeText(NOW_MS) })
  })

  test('preserves any characters', async () => {
    const fields = ['', 'empty', '\0', '\0\x01', 'a', '"\\\n\u2028', 'é', '🚪', '\u{10000}', '[1,{"a":null}]']
    await write(update({ fields }))
    expect((await readHash(redis, KEY))?.fields).toEqual({
      '': 'empty',
      '\0': '\0\x01',
      a: '"\\\n\u2028',
      é: '🚪',
      '\u{10000}': '[1,{"a":null}]',
      last_updated: timeText(NOW_MS),
    })
    expect(await write(update({ fields }))).toEqual(['unchanged'])
  })

  test('with 256 fields replaces one with 256 other fields', async () => {
    const fields = (prefix: string) =>
      Array.from({ length: 256 }, (_, i) => [`${prefix}${String(i).padStart(3, '0')}`, 'x']).flat()
    await write(update({ fields: fields('a') }))
    expect(await write(update({ fields: fields('b') }))).toEqual(['changed'])
    const { fields: stored = {} } = (await readHash(redis, KEY)) ?? {}
    expect(Object.keys(stored)).toHaveLength(257)
    expect(Object.keys(stored).filter((name) => name.startsWith('a'))).toEqual([])
  })

  test('deletes more fields of another program’s hash than Lua can unpack at once', async () => {
    const surplus = Array.from({ length: 15_001 }, (_, i) => [`surplus${i}`, 'x']).flat()
    await redis.hset(KEY, ...surplus)
    expect(await write(update())).toEqual(['changed'])
    expect(Object.keys((await readHash(redis, KEY))?.fields ?? {}).sort()).toEqual([
      'datatype_id',
      'last_updated',
      'persist',
    ])
  })
})

describe('several updates in one call', () => {
  test('have individual statuses, in their order', async () => {
    await write(update({ id: 'stale', lastUpdated: timeText(NOW_MS, 5) }), update({ id: 'same' }))
    expect(
      await write(
        update({ id: 'new' }),
        update({ id: 'stale' }),
        update({ id: 'same' }),
        update({ id: 'gw:é' }),
      ),
    ).toEqual(['changed', 'stale', 'unchanged', 'changed'])
    expect(await readHash(redis, 'device:gw:é:metadata')).toBeDefined()
  })

  test.each<ScriptLimits>([
    { maxKeys: 1, maxBytes: 1_000_000 },
    { maxKeys: 7, maxBytes: 1_000_000 },
    { maxKeys: 1_000, maxBytes: 500 },
    { maxKeys: 1_000, maxBytes: 1 },
  ])('may be split into calls with the limits %j', async (limits) => {
    const updates = Array.from({ length: 50 }, (_, i) =>
      update({ id: `d${i}`, fields: ['datatype_id', `${i}`] }),
    )
    const { updates: statuses } = await createDeviceWriter(redis, limits).write(
      writePlan(updates, [], NOW_MS),
    )
    expect(statuses).toEqual(Array(50).fill('changed'))
    expect(await redis.hget('device:d49:metadata', 'datatype_id')).toBe('49')
    expect(await redis.scard('devices')).toBe(50)
    expect(await redis.dbsize()).toBe(50 + 1)
  })

  test('send nothing if there are none', async () => {
    expect(await write()).toEqual([])
    expect(await redis.dbsize()).toBe(0)
  })

  test('are not affected by a key of another type, which is not changed', async () => {
    await redis.lpush('device:list:metadata', 'mine')
    await redis.set('device:text:metadata', 'mine')
    const ids = ['before', 'list', 'between', 'text', 'after']
    const statuses = await write(...ids.map((id) => update({ id })))
    const refused = { refused: expect.objectContaining({ code: 'WRONGTYPE', failureClass: 'record' }) }
    expect(statuses).toEqual(['changed', refused, 'changed', refused, 'changed'])
    expect(await redis.lrange('device:list:metadata', 0, -1)).toEqual(['mine'])
    expect(await redis.ttl('device:list:metadata')).toBe(-1)
    expect(await redis.get('device:text:metadata')).toBe('mine')
    for (const id of ['before', 'between', 'after']) {
      expect((await readHash(redis, `device:${id}:metadata`))?.expiresAtMs).toBe(NOW_MS + HOUR_MS)
    }
  })
})

describe('the expiry', () => {
  const expiry = async () => (await readHash(redis, KEY))?.expiresAtMs
  const at = (afterMs: number, overrides: Partial<PlannedUpdate> = {}) =>
    update({ expiresAtMs: NOW_MS + HOUR_MS + afterMs, ...overrides })
  const later = { lastUpdated: timeText(NOW_MS, 1) }
  const earlier = { lastUpdated: timeText(NOW_MS, -1) }

  test.each<[what: string, second: PlannedUpdate, status: string]>([
    ['a later record', at(5_000, later), 'changed'],
    ['the same record', at(5_000), 'unchanged'],
    ['a stale record', at(5_000, earlier), 'stale'],
  ])('is extended by %s', async (_, second, status) => {
    await write(at(0))
    expect(await write(second)).toEqual([status])
    expect(await expiry()).toBe(NOW_MS + HOUR_MS + 5_000)
  })

  test.each<[what: string, second: PlannedUpdate, status: string]>([
    ['a later record', at(-5_000, later), 'changed'],
    ['the same record', at(-5_000), 'unchanged'],
    ['a stale record', at(-5_000, earlier), 'stale'],
  ])('is not shortened by %s', async (_, second, status) => {
    await write(at(0))
    expect(await write(second)).toEqual([status])
    expect(await expiry()).toBe(NOW_MS + HOUR_MS)
  })

  test.each<[what: string, second: PlannedUpdate]>([
    ['a later record', at(0, later)],
    ['the same record', at(0)],
    ['a stale record', at(0, earlier)],
  ])('is added to a hash without one by %s', async (_, second) => {
    await write(at(0))
    await redis.persist(KEY)
    await write(second)
    expect(await expiry()).toBe(NOW_MS + HOUR_MS)
  })

  test.each<[what: string, second: Partial<PlannedUpdate>]>([
    ['a later record', later],
    ['the same record', {}],
    ['a stale record', earlier],
  ])('is removed by %s that never expires', async (_, second) => {
    await write(at(0))
    await write(update({ ...second, expiresAtMs: 0 }))
    expect(await expiry()).toBe(-1)
  })

  test('that has already passed leaves no hash', async () => {
    expect(await write(update({ expiresAtMs: Date.now() - 1 }))).toEqual(['expired'])
    expect(await redis.exists(KEY)).toBe(0)
  })
})

describe('a stored last_updated that is not trusted counts as older than anything:', () => {
  const trusted = timeText(NOW_MS)

  test.each([
    ['in another format: Z', '2099-06-08T18:27:17.476623Z'],
    ['in another format: a space', '2099-06-08 18:27:17.476623+00:00'],
    ['in another format: milliseconds', '2099-06-08T18:27:17.476+00:00'],
    ['in another format: an offset', '2099-06-08T18:27:17.476623+02:00'],
    ['in another format: a line break', `${trusted}\n`],
    ['in another format: a leading space', ` ${trusted}`],
    ['a number', '9999999999'],
    ['empty', ''],
    ['text that sorts last', 'zzz'],
    ['more than a day ahead', timeText(NOW_MS, 24 * HOUR_MS + 1_000)],
    ['in the year 9999', '9999-12-31T23:59:59.999999+00:00'],
  ])('%s', async (_, stored) => {
    await redis.hset(KEY, 'last_updated', stored, 'zzz', 'zzz')
    expect(await write(update({ lastUpdated: timeText(NOW_MS, -HOUR_MS) }))).toEqual(['changed'])
    expect((await readHash(redis, KEY))?.fields).toEqual({
      datatype_id: '7',
      persist: 'true',
      last_updated: timeText(NOW_MS, -HOUR_MS),
    })
  })

  test('absent', async () => {
    await redis.hset(KEY, 'datatype_id', '9', 'other', 'x')
    expect(await write(update())).toEqual(['changed'])
    expect(await redis.hexists(KEY, 'other')).toBe(0)
  })

  test('not if it is less than a day ahead', async () => {
    await redis.hset(KEY, 'last_updated', timeText(NOW_MS, 24 * HOUR_MS - 1_000))
    expect(await write(update())).toEqual(['stale'])
  })
})

test('an update that expires while its chunk is held is not kept, not indexed, and does not stop the progress', async () => {
  const plan = writePlan([update({ expiresAtMs: NOW_MS - 1_000 }), update({ id: 'b' })], [], NOW_MS)
  const step = createProgressStore(redis, 'group', 'topic').step(0, undefined, 9)
  expect(await createDeviceWriter(redis, LIMITS).write(plan, step)).toMatchObject({
    updates: ['expired', 'changed'],
    hasAdvanced: true,
  })
  expect(await redis.smembers('devices')).toEqual(['b'])
  expect(await redis.exists(KEY)).toBe(0)
})

test('an index that another program has deleted is complete again after the next chunk', async () => {
  const updates = Array.from({ length: 20 }, (_, i) => update({ id: `d${i}` }))
  await write(...updates)
  await redis.del('devices')
  await write(...updates)
  expect(await redis.scard('devices')).toBe(20)
})

describe('an update writes only what differs', () => {
  // A server of its own: MONITOR shows the commands of all clients.
  let server: OwnRedis
  let own: Redis
  beforeAll(async () => {
    server = await startOwnRedis()
    own = new Redis(server.url)
  })
  beforeEach(() => own.flushall())
  afterAll(async () => {
    own.disconnect()
    await server.stop()
  })

  const writeHere = (...updates: PlannedUpdate[]) =>
    createDeviceWriter(own, LIMITS).write(writePlan(updates, [], NOW_MS))

  /** The commands that the scripts send while `act` runs, without reads. */
  async function writesDuring(act: () => Promise<unknown>): Promise<string[][]> {
    const seen: string[][] = []
    const end = uniqueName('end')
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const monitor = await own.duplicate().monitor()
    try {
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        if (args[1] === end) resolve()
        if (source === 'lua') seen.push(args)
      })
      await act()
      await own.echo(end)
      await ended
    } finally {
      monitor.disconnect()
    }
    return seen.filter(([command = '']) => /^(HSET|HDEL|PERSIST)$/i.test(command))
  }

  const longText = 'a value of more than sixty-four bytes makes Redis store the hash as a table'
  const later = timeText(NOW_MS, 1)

  test.for([
    ['in a small hash', '7'],
    ['in a hash that Redis keeps in no order', longText],
  ])('%s: last_updated, if nothing else does', async ([, id = '']) => {
    const fields = ['datatype_id', id, 'datatype_name', 'n', 'persist', 'true']
    await writeHere(update({ fields }))
    const writes = await writesDuring(() => writeHere(update({ fields, lastUpdated: later })))
    expect(writes).toEqual([['HSET', KEY, 'last_updated', later]])
  })

  test.for([
    ['in a small hash', '7'],
    ['in a hash that Redis keeps in no order', longText],
  ])('%s: changed and new fields, and the removal of others', async ([, id = '']) => {
    await writeHere(
      update({ fields: ['datatype_id', id, 'datatype_name', 'n', 'old', 'x', 'persist', 'true'] }),
    )
    const fields = ['datatype_id', id, 'datatype_name', 'm', 'new', 'y', 'persist', 'true']
    const writes = await writesDuring(() => writeHere(update({ fields, lastUpdated: later })))
    expect(writes).toEqual([
      ['HSET', KEY, 'last_updated', later, 'datatype_name', 'm', 'new', 'y'],
      ['HDEL', KEY, 'old'],
    ])
    expect((await readHash(own, KEY))?.fields).toEqual({
      datatype_id: id,
      datatype_name: 'm',
      new: 'y',
      persist: 'true',
      last_updated: later,
    })
  })

  test('where another program wrote the fields in another order', async () => {
    await own.hset(KEY, 'persist', 'true', 'last_updated', timeText(NOW_MS), 'datatype_id', '7')
    const writes = await writesDuring(() => writeHere(update({ lastUpdated: later })))
    expect(writes).toEqual([['HSET', KEY, 'last_updated', later]])
  })
})

test('scripts that the server has forgotten are loaded again', async (context) => {
  // A server of its own: two flushes while another test's script is loaded are one too many.
  const server = await startOwnRedis()
  const own = new Redis(server.url)
  context.onTestFinished(async () => {
    own.disconnect()
    await server.stop()
  })
  const writer = createDeviceWriter(own, { maxKeys: 1, maxBytes: 1_000 })
  const plan = (afterMs: number) =>
    writePlan(
      ['a', 'b', 'c'].map((id) => update({ id, lastUpdated: timeText(NOW_MS, afterMs) })),
      [{ id: 'gone', deletesUpTo: timeText(NOW_MS) }],
      NOW_MS,
    )
  await writer.write(plan(0))
  for (let round = 1; round <= 3; round++) {
    await own.script('FLUSH')
    expect(await writer.write(plan(round))).toMatchObject({
      deletes: ['absent'],
      updates: ['changed', 'changed', 'changed'],
    })
  }
  expect((await readHash(own, KEY))?.fields['last_updated']).toBe(timeText(NOW_MS, 3))
})

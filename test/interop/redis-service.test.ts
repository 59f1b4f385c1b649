import { beforeAll, describe, expect, test, afterAll } from 'vitest'
import { z } from 'zod'
import { enumName, isoDate } from '../../shared/redis-library/codecs.ts'
import { FailedValue, RedisService } from '../../shared/redis-library/redis-service.ts'
import { startPythonPeer, type PythonPeer } from '../support/processes/python-sdk.ts'
import { startOwnRedis, type OwnRedis } from '../support/servers/servers.ts'

// Python's own RedisService (cledar-sdk) and ours, on one Redis.

const Mode = { FAST: 'go', VERY_FAST: 'run' } as const
const Level = { LOW: 1, HIGH: 2 } as const
const place = z.object({ name: z.string(), floor: z.number().nullable() })
const reading = z.object({
  id: z.string(),
  mode: enumName(Mode),
  level: z.enum(Level),
  at: isoDate(),
  seen: isoDate(),
  place,
  values: z.array(z.number()),
  ok: z.boolean(),
})

let redis: OwnRedis
let python: PythonPeer
let ours: RedisService

beforeAll(async () => {
  redis = await startOwnRedis()
  python = await startPythonPeer('redis_service.py', String(redis.port))
  ours = new RedisService({ host: redis.host, port: redis.port })
  await ours.connect()
}, 300_000)

afterAll(async () => {
  await ours?.close()
  await python?.close()
  await redis?.stop()
})

describe('a value that Python has written', () => {
  test('is read with nested models, enums, dates with and without an offset, and any text', async () => {
    await python.call('set_reading', 'from-python')
    expect(await ours.get('from-python', reading)).toEqual({
      id: 'å\u2028😀',
      mode: 'run',
      level: 2,
      at: new Date('2026-11-21T12:00:00.123Z'),
      seen: new Date('2026-11-21T12:00:00Z'),
      place: { name: 'hall', floor: null },
      values: [1, -0.5, 1e300],
      ok: true,
    })
  })

  test('is read with enums by lower-case name, numbers, and strings as they are', async () => {
    await python.call('set_modes', 'modes')
    expect(await ours.getRaw('modes')).toBe('{"modes": ["fast", "very_fast"]}')
    expect(await ours.get('modes', z.object({ modes: z.array(enumName(Mode)) }))).toEqual({
      modes: ['go', 'run'],
    })
    await python.call('set', 'greeting', 'hello {"')
    expect(await ours.getRaw('greeting')).toBe('hello {"')
    await python.call('set', 'number', 1.5)
    expect(await ours.get('number', z.number())).toBe(1.5)
  })

  test('is listed, deleted, and read by mget', async () => {
    await python.call('set', 'place:1', { name: 'hall', floor: 1 })
    await python.call('set', 'place:2', { name: 'hall', floor: 'first' })
    expect((await ours.listKeys('place:*')).sort()).toEqual(['place:1', 'place:2'])
    const found = await ours.mget(['place:1', 'place:2', 'place:3'], place)
    expect(found).toEqual([{ name: 'hall', floor: 1 }, expect.any(FailedValue), null])
    expect(await ours.delete('place:1')).toBe(true)
    expect(await python.call('get_raw', 'place:1')).toBeNull()
  })
})

describe('a value that we have written', () => {
  const value: z.output<typeof reading> = {
    id: 'å\u2028😀',
    mode: Mode.VERY_FAST,
    level: Level.HIGH,
    at: new Date('2026-11-21T12:00:00.123Z'),
    seen: new Date('2026-11-21T12:00:00Z'),
    place: { name: 'hall', floor: null },
    values: [1, -0.5, 1e300],
    ok: true,
  }

  test('is read by Python with nested models, enums by name, dates, and any text', async () => {
    await ours.set('from-us', value, { schema: reading })
    expect(await python.call('get_reading', 'from-us')).toEqual({
      id: 'å\u2028😀',
      mode: 'VERY_FAST',
      level: 2,
      at: Date.parse('2026-11-21T12:00:00.123Z') / 1000,
      seen: '2026-11-21T12:00:00Z',
      place: { name: 'hall', floor: null },
      values: [1, -0.5, 1e300],
      ok: true,
    })
  })

  test('has the same text as Python’s, except for spaces', async () => {
    await ours.set('text', 'hello {"')
    expect(await python.call('get_raw', 'text')).toBe('hello {"')
    await ours.set('modes', { modes: [Mode.FAST] }, { schema: z.object({ modes: z.array(enumName(Mode)) }) })
    expect(await python.call('get_raw', 'modes')).toBe('{"modes":["fast"]}')
  })

  test('is listed, deleted, and read by mget by Python', async () => {
    await ours.set('spot:1', { name: 'hall', floor: 1 })
    await ours.set('spot:2', { name: 'hall' })
    await ours.set('spot:3', 'no JSON')
    expect(await python.call('list_keys', 'spot:*')).toEqual(['spot:1', 'spot:2', 'spot:3'])
    expect(await python.call('mget_places', ['spot:1', 'spot:2', 'spot:3', 'spot:4'])).toEqual([
      { name: 'hall', floor: 1 },
      { failed: 'spot:2' },
      { failed: 'spot:3' },
      null,
    ])
    expect(await python.call('delete', 'spot:1')).toBe(true)
    expect(await ours.getRaw('spot:1')).toBeNull()
  })
})

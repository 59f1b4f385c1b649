import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { runCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { storeDevice } from '../../../support/records/cli-fixtures.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const devicesSchema = z.array(z.object({ device_id: z.string() }))

let database: RedisDatabase
beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

const ago = (seconds: number) =>
  `${new Date(Date.now() - seconds * 1000).toISOString().slice(0, -1)}000+00:00`

async function storeFleet(): Promise<void> {
  await storeDevice(database, 'hall-1', {
    datatype_name: 'Temperature',
    datatype_unit: '["°C","%"]',
    last_updated: ago(7_300),
  })
  await storeDevice(database, 'Hall-2', {
    datatype_name: 'Temperature',
    datatype_unit: '°C',
    last_updated: ago(5),
  })
  await storeDevice(database, 'roof-1', {
    datatype_name: 'Humidity',
    datatype_id: '7',
    last_updated: ago(5_000),
  })
}

// Both sources give the same results.
describe.each([['Redis'], ['an API']])('list from %s', (source) => {
  /** An API keeps what a search has read for some seconds, so each test has one of its own. */
  async function open(env: Readonly<Record<string, string>> = {}) {
    const settings = { REDIS_URL: database.url, ...env }
    const where: string[] = []
    if (source === 'an API') {
      const api = await startApi(settings)
      onTestFinished(() => api.stop())
      where.push('--api', api.url)
    }
    const cli = (args: readonly string[]) => runCliHere([...where, 'list', ...args], settings)
    const idsOf = async (...args: string[]) => {
      const { code, errors, output } = await cli([...args, '--format', 'json'])
      expect({ code, errors }).toMatchObject({ code: 0 })
      return devicesSchema.parse(JSON.parse(output)).map(({ device_id }) => device_id)
    }
    return { cli, idsOf }
  }

  test('finds devices by type, unit, silence, time and id, and sorts them', async () => {
    await storeFleet()
    const { idsOf } = await open()
    expect(await idsOf('--type', 'Temperature')).toEqual(['Hall-2', 'hall-1'])
    expect(await idsOf('--type', '7')).toEqual(['roof-1'])
    expect(await idsOf('--unit', '°C', '--sort', '-last_updated')).toEqual(['Hall-2', 'hall-1'])
    expect(await idsOf('--unit', '')).toEqual(['roof-1'])
    expect(await idsOf('--silent-for', '1h', '--sort', 'last_updated')).toEqual(['hall-1', 'roof-1'])
    expect(await idsOf('--updated-after', '1m')).toEqual(['Hall-2'])
    expect(await idsOf('--updated-before', ago(6_000))).toEqual(['hall-1'])
    expect(await idsOf('--contains', 'HALL', '--match', 'hall')).toEqual(['hall-1'])
    expect(await idsOf('--sort', '-device_id')).toEqual(['roof-1', 'hall-1', 'Hall-2'])
    expect(await idsOf('--sort', 'datatype_name', '--filter', 'datatype_id=7')).toEqual(['roof-1'])
  })

  test('compares times to the microsecond', async () => {
    const at = (micros: string) => `2025-06-08T18:27:17.476${micros}+00:00`
    for (const micros of ['622', '623', '624'])
      await storeDevice(database, `d${micros}`, { last_updated: at(micros) })
    const { idsOf } = await open()
    expect(await idsOf('--updated-after', at('622'), '--updated-before', at('624'))).toEqual(['d623'])
    expect(await idsOf('--updated-before', '2025-06-08T18:27:17.476624Z')).toEqual(['d622', 'd623'])
  })

  test('has pages, in the order of the search', async () => {
    await storeFleet()
    const { cli, idsOf } = await open()
    expect(await idsOf('--sort', 'last_updated', '--limit', '2', '--page', '2')).toEqual(['Hall-2'])
    const { errors } = await cli(['--sort', 'last_updated', '--limit', '2'])
    expect(errors).toContain('There are more devices: use --page 2 or --limit all.')
  })

  test('reads all pages of thousands of devices, and names corrupt ones', async () => {
    const pipeline = database.client.pipeline()
    for (let n = 0; n < 2_500; n++) {
      pipeline.hset(`device:d${n}:metadata`, { persist: n === 7 ? 'not JSON' : 'true', last_updated: ago(n) })
      pipeline.sadd('devices', `d${n}`)
    }
    await pipeline.exec()
    const { cli } = await open()
    const { errors, output } = await cli(['--sort', '-last_updated', '--limit', 'all', '--format', 'json'])
    const found = devicesSchema.parse(JSON.parse(output)).map(({ device_id }) => device_id)
    expect(found).toEqual(Array.from({ length: 2_500 }, (_, n) => `d${n}`).filter((id) => id !== 'd7'))
    expect(errors).toContain('"d7" is corrupt')
  })

  test('warns if it does not cover all devices', async () => {
    await storeFleet()
    const { cli } = await open({ API_SEARCH_MAX_DEVICES: '2' })
    const { code, errors } = await cli(['--sort', 'device_id'])
    expect(code).toBe(0)
    expect(errors).toContain('not all devices were searched: raise API_SEARCH_MAX_DEVICES')
  })

  test('finds nothing in an empty cache', async () => {
    const { cli } = await open()
    const { code, errors } = await cli(['--type', 'x'])
    expect({ code, errors: errors.trim() }).toEqual({ code: 0, errors: 'No devices.' })
  })
})

test.each([
  [['--sort', 'ttl'], 'Known fields: device_id, datatype_name, datatype_unit, last_updated.'],
  [['--silent-for', '1 hour'], 'It must be a duration such as 90s, 30m, 2h or 7d.'],
  [['--updated-before', 'yesterday'], '--updated-before yesterday is not a time'],
])('list %j says what is wrong', async (args, message) => {
  const { code, errors } = await runCliHere(['list', ...args], { REDIS_URL: database.url })
  expect(code).toBe(2)
  expect(errors).toContain(message)
})

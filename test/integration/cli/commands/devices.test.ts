import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { LAST_UPDATED, parseCsvText, storeDevice } from '../../../support/records/cli-fixtures.ts'
import { runCliHere, type CliSurroundings } from '../../../support/processes/run-cli-here.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { folderOfFile } from '../../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { workerReport } from '../../../support/records/worker-report.ts'
import { markFilled } from '../../../support/records/filled-cache.ts'
import { lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

const ODD_IDS = ['gw:7', 'Küche 1', '漢字/?&=', '-7', '=cmd()', '@x', `a'b"c`]

let database: RedisDatabase
let api: RunningApi
const folder = folderOfFile()

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  api = await startApi({ REDIS_URL: database.url })
})
afterAll(async () => {
  await api.stop()
  await database.release()
})
beforeEach(async () => {
  await database.client.flushdb()
  await markFilled(database.client)
})

const cli = (args: readonly string[], surroundings: CliSurroundings = {}) =>
  runCliHere(args, { REDIS_URL: database.url }, surroundings)

const storeMany = (ids: readonly string[], fields: Readonly<Record<string, string>> = {}) =>
  Promise.all(ids.map((id) => storeDevice(database, id, fields)))

const ids = (count: number) => Array.from({ length: count }, (_, i) => `d${i}`)
const idsOf = (devices: readonly { device_id: string }[]) => devices.map(({ device_id }) => device_id).sort()

// Both sources give the same results.
describe.each([
  ['Redis', () => []],
  ['an API', () => ['--api', api.url]],
] as const)('from %s', (_, where) => {
  describe('list', () => {
    test('prints the same JSON as the API', async () => {
      await storeDevice(database, 'd', { datatype_unit: '["°C","%"]', battery_ok: 'true' })
      const { code, output, errors } = await cli([...where(), 'list', '--format', 'json'])
      expect({ code, errors }).toEqual({ code: 0, errors: '' })
      expect(JSON.parse(output)).toEqual([
        {
          device_id: 'd',
          datatype_id: null,
          datatype_name: 'temperature',
          datatype_unit: ['°C', '%'],
          persist: true,
          last_updated: LAST_UPDATED,
          extra: { battery_ok: 'true' },
          ttl: expect.any(Number),
        },
      ])
    })

    test('prints a table, YAML and CSV', async () => {
      await storeDevice(database, 'd')
      const table = await cli([...where(), 'list'])
      expect(table.output).toMatch(/^device_id {2}datatype_name .*\nd {10}temperature .*\n$/)
      const yaml = await cli(['list', '-f', 'yaml', ...where()])
      expect(parseYaml(yaml.output)).toMatchObject([{ device_id: 'd', last_updated: LAST_UPDATED }])
      const csv = await cli(['-f', 'csv', 'list', ...where()])
      expect(parseCsvText(csv.output)).toMatchObject([{ device_id: 'd', persist: 'true' }])
    })

    test('limits the number of devices, and its pages together contain each device once', async () => {
      await storeMany(ids(25))
      const pages = await Promise.all(
        ['1', '2', '3', '4'].map((page) =>
          cli([...where(), 'list', '-f', 'json', '--limit', '10', '--page', page]),
        ),
      )
      const found = pages.map(({ output }): { device_id: string }[] => JSON.parse(output))
      expect(found.map((devices) => devices.length)).toEqual([10, 10, 5, 0])
      expect(idsOf(found.flat())).toEqual(ids(25).sort())
      expect(pages.map(({ errors }) => errors)).toEqual([
        'There are more devices: use --page 2 or --limit all.\n',
        'There are more devices: use --page 3 or --limit all.\n',
        '',
        'No devices on page 4.\n',
      ])
    })

    test('prints all devices with --limit all, even more than one page of the API', async () => {
      await storeMany(ids(2_345))
      const { output } = await cli([...where(), 'list', '--limit', 'all', '--format', 'json'])
      expect(idsOf(JSON.parse(output))).toEqual(ids(2_345).sort())
    })

    test('prints only devices that match the prefix and every filter', async () => {
      await storeDevice(database, 'a-1', { site: 'x', datatype_unit: '["°C","%"]' })
      await storeDevice(database, 'a-2', { site: 'y', datatype_unit: '["°C"]' })
      await storeDevice(database, 'b-1', { site: 'x', datatype_unit: '["°C"]' })
      const list = async (...args: string[]) =>
        idsOf(JSON.parse((await cli([...where(), 'list', '-f', 'json', ...args])).output))
      expect(await list('--match', 'a-')).toEqual(['a-1', 'a-2'])
      expect(await list('--match', '*')).toEqual([])
      expect(await list('--filter', 'site=x')).toEqual(['a-1', 'b-1'])
      expect(await list('--filter', 'site=x', '--filter', 'datatype_unit=%')).toEqual(['a-1'])
      expect(await list('--filter', 'datatype_name=humidity')).toEqual([])
    })

    test('prints an empty result in every format and succeeds if there are no devices', async () => {
      const outputs = await Promise.all(
        ['table', 'json', 'yaml', 'csv'].map((format) => cli([...where(), 'list', '-f', format])),
      )
      expect(outputs.map(({ code }) => code)).toEqual([0, 0, 0, 0])
      const [table, json, yaml, csv] = outputs.map(({ output }) => output)
      expect(table).toMatch(/^device_id .*\n$/)
      expect(json).toBe('[]\n')
      expect(yaml).toBe('[]\n')
      expect(csv).toMatch(/^device_id,.*\n$/)
      expect(outputs[0]?.errors).toBe('No devices.\n')
    })

    test('warns of a corrupt device and prints the others', async () => {
      await storeDevice(database, 'good')
      await storeDevice(database, 'bad', { persist: '{' })
      const { code, errors, output } = await cli([...where(), 'list', '-f', 'json'])
      expect(code).toBe(0)
      expect(idsOf(JSON.parse(output))).toEqual(['good'])
      expect(errors).toContain('warning: "bad" is corrupt: The field persist is not valid JSON.')
    })
  })

  describe('get', () => {
    test('prints a single device as one object, and in a table one line per field', async () => {
      await storeDevice(database, 'd')
      const json = await cli([...where(), 'get', 'd', '-f', 'json'])
      expect(JSON.parse(json.output)).toMatchObject({ device_id: 'd', persist: true })
      const table = await cli([...where(), 'get', 'd'])
      expect(table.output).toContain('datatype_name  temperature\n')
    })

    test('finds ids with colons, spaces, non-ASCII characters and slashes', async () => {
      await storeMany(ODD_IDS)
      const { code, output } = await cli([...where(), 'get', '-f', 'json', '--', ...ODD_IDS])
      expect(code).toBe(0)
      expect(JSON.parse(output)).toMatchObject(ODD_IDS.map((device_id) => ({ device_id })))
    })

    test('prints the devices that exist, names the missing ones, and exits with 3', async () => {
      await storeMany(['a', 'c'])
      const { code, errors, output } = await cli([...where(), 'get', 'a', 'b', 'c', '-f', 'json'])
      expect(code).toBe(3)
      expect(idsOf(JSON.parse(output))).toEqual(['a', 'c'])
      expect(errors).toBe('cache-cli: "b" is not in the cache\n')
    })

    test('prints nothing and exits with 3 if no device exists', async () => {
      expect(await cli([...where(), 'get', 'a'])).toMatchObject({ code: 3, output: '' })
      expect(await cli([...where(), 'get', 'a\nb'])).toMatchObject({ code: 3, output: '' })
      expect(await cli([...where(), 'get', 'a', 'b', '-f', 'json'])).toMatchObject({
        code: 3,
        output: '[]\n',
      })
    })

    test('does not call a device missing while the cache is being filled', async () => {
      const reporter = lastingWorkerReporter(database.client, 'w')
      await reporter.write(workerReport({ id: 'w', rebuilding: true }))
      // The API caches for one second whether a worker is rebuilding.
      const other = await startApi({ REDIS_URL: database.url })
      const args = where().length === 0 ? [] : ['--api', other.url]
      try {
        const { code, errors } = await cli([...args, 'get', 'a'])
        expect(code).toBe(3)
        expect(errors).toContain('"a" is not in the cache yet: the cache is being filled')
        const batch = await cli([...args, 'batch', '--file', '-', '-f', 'csv'], { stdin: 'a\n' })
        expect(parseCsvText(batch.output)).toMatchObject([{ device_id: 'a', status: 'unknown' }])
      } finally {
        await other.stop()
      }
    })
  })

  describe('delete', () => {
    test('deletes devices after a confirmation, reports missing ones, and exits with 3', async () => {
      await storeMany(['a', 'b', 'c'])
      const refused = await cli([...where(), 'delete', 'a'])
      expect(refused).toMatchObject({ code: 5, errors: expect.stringContaining('use --yes') })
      const no = await cli([...where(), 'delete', 'a'], { isTerminal: true, stdin: 'n\n' })
      expect(no).toMatchObject({
        code: 5,
        errors: expect.stringContaining('Delete the device "a" until the next record?'),
      })
      expect(await database.client.scard('devices')).toBe(3)
      const yes = await cli([...where(), 'delete', 'a'], { isTerminal: true, stdin: 'y\n' })
      expect(yes).toMatchObject({ code: 0 })
      const both = await cli([...where(), 'delete', '-y', '-f', 'csv', 'b', 'nope', 'b'])
      expect(both).toEqual({ code: 3, output: 'device_id,result\nb,deleted\nnope,missing\n', errors: '' })
      expect(await database.client.smembers('devices')).toEqual(['c'])
      expect(await cli([...where(), 'delete', '-y', 'c', 'x\u0007'])).toMatchObject({ code: 2, output: '' })
      expect(await database.client.smembers('devices')).toEqual(['c'])
    })
  })

  describe('state', () => {
    test('prints all key-values or one, and exits with 3 if it does not exist', async () => {
      await database.client.sadd('cache_service:{events}:types', 'alarms', 'doors')
      await database.client.set('alarms', '{"updated":7,"valid":false,"values":[1,{"a":2}]}')
      await database.client.set('doors', 'open')
      const table = await cli([...where(), 'state'])
      expect(table).toEqual({
        code: 0,
        errors: '',
        output:
          'type    updated  valid  values\nalarms  7        false  [1,{"a":2}]\ndoors   -        -      open\n',
      })
      const one = await cli([...where(), 'state', 'alarms', '-f', 'json'])
      expect(JSON.parse(one.output)).toEqual({
        type: 'alarms',
        updated: 7,
        valid: false,
        values: [1, { a: 2 }],
      })
      const none = await cli([...where(), 'state', 'prices', '-f', 'json'])
      expect(none).toEqual({ code: 3, output: '', errors: 'cache-cli: there is no key-value "prices"\n' })
    })
  })

  describe('batch', () => {
    test('prints one row per id, in the order of the file, with its status', async () => {
      await storeMany(['a', 'c'])
      await storeDevice(database, 'bad', { persist: '{' })
      const { code, errors, output } = await cli([...where(), 'batch', '--file', '-', '-f', 'csv'], {
        stdin: 'c\nb\nbad\nx\u0007\na\na\n',
      })
      expect(code).toBe(3)
      expect(errors).toBe('3 of 6 found\n')
      expect(parseCsvText(output).map(({ device_id, status }) => [device_id, status])).toEqual([
        ['c', 'found'],
        ['b', 'missing'],
        ['bad', 'corrupt'],
        ['x\u0007', 'invalid'],
        ['a', 'found'],
        ['a', 'found'],
      ])
    })

    test('looks up more ids than one call accepts, from a file into a file', async () => {
      await storeMany(ids(2_500))
      const [from, to] = [join(folder, 'ids.csv'), join(folder, 'devices.json')]
      writeFileSync(
        from,
        `site,device_id\n${ids(2_500)
          .map((id) => `x,${id}\n`)
          .join('')}`,
      )
      const result = await cli([...where(), 'batch', '--file', from, '--output', to, '-f', 'json'])
      expect(result).toEqual({ code: 0, output: '', errors: '2500 of 2500 found\n' })
      const rows: { device_id: string; status: string }[] = JSON.parse(readFileSync(to, 'utf8'))
      expect(rows.map(({ device_id }) => device_id)).toEqual(ids(2_500))
      expect(rows[0]).toMatchObject({ status: 'found', datatype_name: 'temperature' })
    })
  })
})

test('CSV output escapes ids that a spreadsheet would interpret as formulas', async () => {
  await storeMany(['=1+1', '+a', '-a', '@a', 'plain'])
  const { output } = await cli(['list', '-f', 'csv'])
  const found = parseCsvText(output).map(({ device_id }) => device_id)
  expect(found.sort()).toEqual(["'+a", "'-a", "'=1+1", "'@a", 'plain'])
})

test('batch shows a progress bar on a terminal, and none in a pipe', async () => {
  const stdin = ids(1_500).join('\n')
  const seen = await cli(['batch', '--file', '-', '-f', 'csv', '-o', join(folder, 'x')], {
    stdin,
    isTerminal: true,
  })
  expect(seen.errors).toContain('ids looked up: 1500')
  const piped = await cli(['batch', '--file', '-', '-f', 'csv'], { stdin })
  expect(piped.errors).toBe('0 of 1500 found\n')
})

test('batch exits with 2 if the id file does not exist', async () => {
  const { code, errors } = await cli(['batch', '--file', join(folder, 'nope.txt')])
  expect(code).toBe(2)
  expect(errors).toMatch(/^cache-cli: the input can't be read \(ENOENT.*\): check --file\n$/)
})

describe('info', () => {
  test('shows Redis and the workers, and null for what is not known', async () => {
    await storeMany(['a', 'b'])
    const without = await cli(['info', '-f', 'json'])
    expect(JSON.parse(without.output)).toMatchObject({ devices: 2, consumer_state: null, lag_records: null })
    const reporter = lastingWorkerReporter(database.client, 'w')
    const lag = [
      { partition: 0, records: 5, seconds: 1.5 },
      { partition: 1, records: 2, seconds: null },
    ]
    await reporter.write(workerReport({ id: 'w', lag, lag_records: 7, devices: 2 }))
    const expected = {
      devices: 2,
      hit_rate_percent: expect.any(Number),
      memory: expect.any(String),
      consumer_state: 'consuming',
      ready_workers: 1,
      rebuilding: false,
      lag_records: 7,
      lag_seconds: 1.5,
      workers: [{ id: 'w' }],
    }
    for (const where of [[], ['--api', api.url]]) {
      const { output } = await cli([...where, 'info', '-f', 'json'])
      expect(JSON.parse(output)).toMatchObject(expected)
    }
    const { output } = await cli(['info'])
    expect(output).toMatch(/^devices +2\n/)
    expect(output).toMatch(/\nworker +state +lag/)
  })
})

describe('sweep', () => {
  test('removes expired ids from the index and prints how many', async () => {
    await storeDevice(database, 'alive')
    await database.client.sadd('devices', 'dead', 'dead:too')
    expect(await cli(['sweep', '-f', 'json'])).toEqual({
      code: 0,
      output: '{\n  "removed": 2,\n  "devices": 1\n}\n',
      errors: '',
    })
  })

  test('exits with 5 while another process is sweeping', async () => {
    await database.client.set('cache_service:lease:sweeper', 'a worker')
    const { code, errors } = await cli(['sweep'])
    expect(code).toBe(5)
    expect(errors).toContain('another process is sweeping')
  })
})

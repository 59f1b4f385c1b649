import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { appendGap, appendUpdate, hint, proxyTo } from '../../../support/processes/client-world.ts'
import { patiently } from '../../../support/eventually.ts'
import { startCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { uniqueName, useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let api: RunningApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  api = await startApi({ REDIS_URL: database.url })
})
afterAll(async () => {
  await api.stop()
  await database.release()
})

/** Starts a watch that does not miss events from now on. */
async function startWatch(args: readonly string[]) {
  const watch = startCliHere(['watch', ...args], { REDIS_URL: database.url })
  const ended = watch.ended
  onTestFinished(async () => {
    watch.interrupt()
    await ended
  })
  await patiently(() => expect(watch.errors).toContain('Watching'))
  return watch
}

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line))

describe.each([
  ['Redis', () => []],
  ['an API', () => ['--api', api.url]],
] as const)('watch from %s', (_, where) => {
  test('prints one JSON object per line as events happen, and exits with 130 on Ctrl-C', async () => {
    const watch = await startWatch([...where(), '-f', 'json'])
    await hint(database.client, 'changed', ['a', 'b'], 3)
    await patiently(() => expect(jsonLines(watch.output)).toHaveLength(1))
    await appendUpdate(database.client, 'alarms', 7)
    await hint(database.client, 'deleted', ['c'])
    await appendGap(database.client)
    await patiently(() => expect(jsonLines(watch.output)).toHaveLength(4))
    const common = { at: expect.stringMatching(/Z$/), id: expect.any(String) }
    expect(jsonLines(watch.output)).toEqual([
      { ...common, event: 'device', change: 'changed', device_ids: ['a', 'b'], more: 3 },
      { ...common, event: 'update', type: 'alarms', updated: null, valid: true, values: [7] },
      { ...common, event: 'device', change: 'deleted', device_ids: ['c'], more: 0 },
      { ...common, event: 'reset', streams: ['device'], reason: 'missed' },
    ])
    watch.interrupt()
    expect(await watch.ended).toMatchObject({ code: 130, errors: 'Watching. Press Ctrl-C to stop.\n' })
  })

  test('prints one line of text per event, with control characters escaped', async () => {
    const watch = await startWatch(where())
    await hint(database.client, 'changed', ['a b', 'Küche'], 2)
    await appendUpdate(database.client, 'x\u001b[2J', 7)
    await patiently(() => expect(watch.output.split('\n')).toHaveLength(3))
    expect(watch.output).toMatch(
      /^\S+Z device changed {2}a b Küche and 2 more\n\S+Z update x\\u001b\[2J {2}\[7\]\n$/,
    )
  })

  test('names at most eight devices in a line of text, but all of them in JSON', async () => {
    const ids = [...Array(20).keys()].map((i) => `d${i}`)
    const [table, json] = await Promise.all([startWatch(where()), startWatch([...where(), '-f', 'json'])])
    await hint(database.client, 'changed', ids, 2)
    await patiently(() => {
      expect(table.output).toMatch(/Z device changed {2}d0 d1 d2 d3 d4 d5 d6 d7 and 14 more\n$/)
      expect(jsonLines(json.output)).toMatchObject([{ device_ids: ids, more: 2 }])
    })
  })

  test('prints only the selected devices and types', async () => {
    const [device, type, both] = await Promise.all([
      startWatch([...where(), '-f', 'json', '--device', 'a', '--device', 'z']),
      startWatch([...where(), '-f', 'csv', '--type', 'alarms']),
      startWatch([...where(), '-f', 'json', '--device', 'a', '--type', 'alarms']),
    ])
    await hint(database.client, 'changed', ['b'])
    await hint(database.client, 'changed', ['a', 'b'])
    await appendUpdate(database.client, 'doors', 1)
    await appendUpdate(database.client, 'alarms', 2)
    await hint(database.client, 'deleted', ['z'])
    await patiently(() => {
      expect(jsonLines(device.output)).toMatchObject([{ device_ids: ['a'] }, { device_ids: ['z'] }])
      expect(type.output).toMatch(/^at,event,.*\n[^\n]+,update,,,,alarms,\[2\],,[^\n]+\n$/)
      expect(jsonLines(both.output)).toMatchObject([{ device_ids: ['a'] }, { type: 'alarms' }])
    })
  })
})

test.each([
  ['and misses device changes', [], 1],
  ['and asks for updates only', ['--type', 'alarms'], 0],
])('watch says once that a Redis user may not announce it, %s', async (_, args, warnings) => {
  const name = uniqueName('reader')
  await database.client.acl(
    'SETUSER',
    name,
    'on',
    '>secret',
    '~*',
    '&*',
    '+@read',
    '+@connection',
    '+info',
    '+command',
  )
  onTestFinished(async () => void (await database.client.acl('DELUSER', name)))
  const url = new URL(database.url)
  url.username = name
  url.password = 'secret'
  const watch = startCliHere(['watch', '-v', ...args], { REDIS_URL: url.href })
  await patiently(() => expect(watch.errors.match(/could not announce/g) ?? []).toHaveLength(2))
  expect(watch.errors.match(/warning: device changes may be missing.*NOPERM/g) ?? []).toHaveLength(warnings)
  watch.interrupt()
  expect(await watch.ended).toMatchObject({ code: 130 })
})

test('watch ends if the Redis user may not read the events', async () => {
  const name = uniqueName('blind')
  await database.client.acl(
    'SETUSER',
    name,
    'on',
    '>secret',
    '~device*',
    '&*',
    '+@read',
    '+@connection',
    '+info',
  )
  onTestFinished(async () => void (await database.client.acl('DELUSER', name)))
  const url = new URL(database.url)
  url.username = name
  url.password = 'secret'
  const { code, errors } = await startCliHere(['watch'], { REDIS_URL: url.href }).ended
  expect(code).toBe(5)
  expect(errors).toMatch(/^cache-cli: Redis at \S+ .*NOPERM/m)
  expect(errors).not.toContain('Watching')
})

const LOST = 'lost the connection to the API: retrying until it is back\n'

test('watch resumes at its position after an outage of the API', async () => {
  const proxy = await proxyTo(api.url)
  const watch = await startWatch(['--api', proxy.url, '-f', 'json'])
  await hint(database.client, 'changed', ['before'])
  await patiently(() => expect(watch.output).toContain('before'))
  proxy.treat = () => ({ status: 502 })
  proxy.breakConnections()
  await patiently(() => expect(watch.errors).toContain('retrying'))
  const attempts = proxy.seen.length
  await patiently(() => expect(proxy.seen.length).toBeGreaterThan(attempts + 1))
  await hint(database.client, 'changed', ['meanwhile'])
  proxy.treat = () => 'pass'
  await patiently(() => expect(watch.output).toContain('meanwhile'))
  expect(watch.errors).toBe(`Watching. Press Ctrl-C to stop.\n${LOST}the API is back\n`)
  expect(jsonLines(watch.output)).toMatchObject([{ device_ids: ['before'] }, { device_ids: ['meanwhile'] }])
})

test('watch resumes at its position after Redis has closed the connection', async () => {
  const watch = await startWatch(['-f', 'json'])
  await hint(database.client, 'changed', ['before'])
  await patiently(() => expect(watch.output).toContain('before'))
  const clients = String(await database.client.client('LIST'))
  // Other tests use other databases of the same server.
  const ours = ` db=${new URL(database.url).pathname.slice(1)} `
  const cut = clients
    .split('\n')
    .filter((line) => / name=cache-cli\S*-events /.test(line) && line.includes(ours))
  expect(cut).toHaveLength(1)
  for (const line of cut) await database.client.client('KILL', 'ID', /id=(\d+)/.exec(line)?.[1] ?? '')
  await hint(database.client, 'changed', ['meanwhile'])
  await patiently(() => expect(watch.output).toContain('meanwhile'))
  expect(jsonLines(watch.output)).toMatchObject([{ device_ids: ['before'] }, { device_ids: ['meanwhile'] }])
})

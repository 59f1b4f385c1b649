import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { storeDevice } from '../../support/records/cli-fixtures.ts'
import { workerReport } from '../../support/records/worker-report.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'
import { lastingWorkerReporter } from '../../support/records/lasting-reporter.ts'

let database: RedisDatabase
let api: RunningApi
let folder: string

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  await storeDevice(database, 'a', { datatype_name: 'humidity', datatype_unit: '%', persist: 'false' })
  await storeDevice(database, 'b', { datatype_name: 'temperature', datatype_unit: '["°C","%"]' })
  await database.client.sadd('cache_service:{events}:types', 'alarms', 'prices')
  await database.client.mset('alarms', '{"updated":2,"values":[7]}', 'prices', '{"updated":10,"values":[1]}')
  for (const [id, seconds] of [
    ['w1', 2.25],
    ['w2', 10.5],
  ] as const) {
    const lag = [{ partition: seconds > 5 ? 0 : 1, records: seconds > 5 ? 3 : 20, seconds }]
    const report = workerReport({ id, lag, lag_records: lag[0]?.records ?? 0, topic: 't', group: 'g' })
    await lastingWorkerReporter(database.client, id).write(report)
  }
  api = await startApi({ REDIS_URL: database.url })
  folder = mkdtempSync(join(tmpdir(), 'test-cli-rows-'))
  const sha256 = '0'.repeat(64)
  const tokens = ['x', 'y'].map((name) => JSON.stringify({ name, sha256, scopes: ['read'] }))
  writeFileSync(join(folder, 'tokens'), tokens.join('\n'))
  writeFileSync(join(folder, 'ids'), 'a\nc\nb\n')
  writeFileSync(
    join(folder, 'records'),
    '{"device_id":"d1","metadata":{}}\n{"device_id":7}\n{"device_id":"d2"}\n',
  )
})
afterAll(async () => {
  await api.stop()
  await database.release()
  rmSync(folder, { recursive: true })
})

const run = (command: string) =>
  runCliHere(
    command.split(' ').map((word) => word.replace('FOLDER', folder).replace('API', api.url)),
    { REDIS_URL: database.url, REDIS_TIMEOUT_S: '7' },
  )

describe('--columns and --sort', () => {
  test.each([
    ['list --columns ttl,device_id --sort -device_id', 'ttl,device_id\n*,b\n*,a\n'],
    [
      'get b a --columns device_id,datatype_unit --sort device_id',
      'device_id,datatype_unit\na,%\nb,"[""°C"",""%""]"\n',
    ],
    [
      'batch --file FOLDER/ids --columns device_id,status --sort status',
      'device_id,status\na,found\nb,found\nc,missing\n',
    ],
    ['batch --file FOLDER/ids --columns status --sort -device_id', 'status\nmissing\nfound\nfound\n'],
    ['delete --yes z y --columns device_id --sort device_id', 'device_id\ny\nz\n'],
    // Numbers are sorted as numbers.
    ['state --columns type,updated --sort -updated', 'type,updated\nprices,10\nalarms,2\n'],
    ['info --columns worker,lag --sort -lag', 'worker,lag\nw1,20\nw2,3\n'],
    ['lag --api API --columns worker,seconds --sort seconds', 'worker,seconds\nw1,2.3\nw2,10.5\n'],
    [
      'explain --no-redis FOLDER/records --columns verdict,record --sort -record',
      'verdict,record\nskipped,3\nrejected,2\nupdate,1\n',
    ],
    ['token list --file FOLDER/tokens --columns status,name --sort -name', 'status,name\nvalid,y\nvalid,x\n'],
    [
      'config show --changed --columns value,name --sort -name',
      'value,name\n*,REDIS_URL\n7,REDIS_TIMEOUT_S\n',
    ],
  ])('%s', async (command, expected) => {
    const { errors, output } = await run(`${command} --format csv`)
    expect(output.replaceAll(/^(?:\d+|\*\*\*),(?=[a-z]$|REDIS_URL)/gm, '*,'), errors).toBe(expected)
  })

  test('apply to every format: JSON has the fields as they are, not as the cells of a table', async () => {
    const command = 'lag --api API --columns seconds,worker --sort worker'
    expect(JSON.parse((await run(`${command} -f json`)).output)).toEqual([
      { seconds: 2.25, worker: 'w1' },
      { seconds: 10.5, worker: 'w2' },
    ])
    expect((await run(`${command} -f jsonl`)).output).toBe(
      '{"seconds":2.25,"worker":"w1"}\n{"seconds":10.5,"worker":"w2"}\n',
    )
    expect((await run(`${command} -f yaml`)).output).toBe(
      '- seconds: 2.25\n  worker: w1\n- seconds: 10.5\n  worker: w2\n',
    )
    expect((await run(command)).output).toBe('seconds  worker\n    2.3  w1\n   10.5  w2\n')
  })

  test.each([
    ['get b --columns datatype_unit,persist', '{"datatype_unit":["°C","%"],"persist":true}\n'],
    ['state alarms --columns updated', '{"updated":2}\n'],
  ])('select the fields of a single object: %s', async (command, expected) => {
    expect((await run(`${command} -f jsonl`)).output).toBe(expected)
  })

  test.each([
    'doctor --role kv-updater --columns check,verdict',
    'explain --no-redis FOLDER/records --columns check,verdict',
  ])('make a table of what is otherwise text: %s', async (command) => {
    const { output } = await run(command.replace('check', command.startsWith('doctor') ? 'check' : 'record'))
    expect(output).toMatch(/^(check|record) +verdict\n/)
  })

  test.each([
    [
      'list --columns device_idd',
      'There is no column "device_idd". Did you mean device_id? Columns: device_id, ',
    ],
    ['batch --file x --columns device_id,unit', 'There is no column "unit". Did you mean datatype_unit?'],
    ['errors list --sort -reasn', 'There is no column "reasn". Did you mean reason? Columns: dead_letter, '],
    ['errors stats --columns count', 'There is no column "count". Columns: by, name, dead_letters.'],
    ['token list --sort x', 'There is no column "x". Columns: name, scopes, expires, status.'],
    ['lag --columns ,', 'There is no column "".'],
    ['lag --watch --format csv --sort lag', '--watch --format csv prints the total lag'],
  ])('name the columns and a suggestion if there is no such column: %s', async (command, message) => {
    const { code, errors, output } = await run(command)
    expect({ code, output }).toEqual({ code: 2, output: '' })
    expect(errors).toContain(message)
  })
})

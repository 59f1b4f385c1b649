import { linkSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { startCliProcess } from '../../support/processes/cli-process.ts'
import { patiently } from '../../support/eventually.ts'
import { hint } from '../../support/processes/client-world.ts'
import { storeDevice } from '../../support/records/cli-fixtures.ts'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { createFifo, folderOfTest } from '../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

let database: RedisDatabase
let env: Readonly<Record<string, string>>
let folder: string

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  env = { REDIS_URL: database.url }
  await storeDevice(database, 'd1')
})
afterAll(() => database.release())
beforeEach(() => {
  folder = folderOfTest()
})

const inFolder = (name: string) => join(folder, name)
const read = (name: string) => readFileSync(inFolder(name), 'utf8')
const mode = (name: string) => statSync(inFolder(name)).mode & 0o777
const start = (command: string | readonly string[]) => startCliProcess(command, env)

function withFile(name: string, text: string, fileMode = 0o640): string {
  writeFileSync(inFolder(name), text, { mode: fileMode })
  return inFolder(name)
}

describe('the file of --output', () => {
  test('is replaced by the results, and keeps its mode', async () => {
    const path = withFile('devices.txt', 'x'.repeat(100_000))
    expect(await runCliHere(['list', '-o', path], env)).toMatchObject({ code: 0, output: '' })
    expect(read('devices.txt')).toMatch(/^device_id .*\nd1 .*\n$/)
    expect(mode('devices.txt')).toBe(0o640)
    expect(readdirSync(folder)).toEqual(['devices.txt'])
  })

  test.each([
    ['an unreachable server', ['list'], { REDIS_URL: 'redis://127.0.0.1:1' }, 4],
    ['an invalid setting', ['list'], { REDIS_PORT: 'x' }, 2],
    ['a missing input file', ['batch', '--file', '/no/such/file'], undefined, 2],
    ['a result without a row', ['get', 'no-such-device'], undefined, 3],
  ] as const)('keeps its content after %s', async (_, args, otherEnv, code) => {
    const path = withFile('kept', 'before')
    expect(await runCliHere([...args, '-o', path], otherEnv ?? env)).toMatchObject({ code })
    expect(read('kept')).toBe('before')
    expect(readdirSync(folder)).toEqual(['kept'])
  })

  test('keeps its content after Ctrl-C in the middle of the results', async () => {
    const path = withFile('kept', 'before')
    // Long enough that results were written to the disk.
    const ids = Array.from({ length: 20_000 }, (_, i) => `d${i}\n`).join('')
    const batch = start(['batch', '--file', '-', '-f', 'jsonl', '-o', path])
    batch.write(ids)
    await patiently(() => expect(readdirSync(folder)).toHaveLength(2))
    batch.kill('SIGINT')
    expect(await batch.exit).toBe(130)
    expect(read('kept')).toBe('before')
    expect(readdirSync(folder)).toEqual(['kept'])
  })

  test.each([
    'the same path',
    'a path through a link to its folder',
    'a symbolic link',
    'a hard link',
  ] as const)('may be the input of the command: %s', async (how) => {
    const input = withFile('ids.csv', 'device_id\nd1\nd2\n')
    symlinkSync(folder, inFolder('here'))
    symlinkSync(input, inFolder('link.csv'))
    linkSync(input, inFolder('hard.csv'))
    const output = {
      'the same path': input,
      'a path through a link to its folder': join(folder, 'here', 'ids.csv'),
      'a symbolic link': inFolder('link.csv'),
      'a hard link': inFolder('hard.csv'),
    }[how]
    const { code } = await runCliHere(['batch', '--file', input, '-o', output], env)
    expect(code).toBe(3)
    expect(readFileSync(output, 'utf8')).toMatch(/^device_id,status,.*\nd1,found,.*\nd2,missing,.*\n$/)
    expect(lstatSync(inFolder('link.csv')).isSymbolicLink()).toBe(true)
  })

  test('is created where a symbolic link points to', async () => {
    symlinkSync('new.csv', inFolder('link'))
    expect(await runCliHere(['list', '-f', 'csv', '-o', inFolder('link')], env)).toMatchObject({ code: 0 })
    expect(read('new.csv')).toMatch(/^device_id,/)
    expect(lstatSync(inFolder('link')).isSymbolicLink()).toBe(true)
  })

  test.each([
    ['a folder', '', 'it is a directory'],
    ['in a folder that does not exist', 'no/such', 'ENOENT'],
    ['below a file', 'file/below', 'ENOTDIR'],
    ['in a folder of the system', '/proc/no-such-file', 'ENOENT'],
    ['on a full device', '/dev/full', 'ENOSPC'],
  ])('causes an error that names it if it is %s', async (_, name, reason) => {
    withFile('file', '')
    const path = name.startsWith('/') ? name : inFolder(name)
    const { code, errors } = await runCliHere(['list', '-o', path], env)
    expect(code).toBe(1)
    expect(errors).toContain(`cache-cli: ${path} can't be written (`)
    expect(errors).toContain(reason)
    expect(errors.trimEnd().split('\n')).toHaveLength(1)
  })

  test('is checked before the command changes anything', async () => {
    const tokens = inFolder('tokens.jsonl')
    const args = ['token', 'create', '--name', 'a', '--file', tokens]
    expect(await runCliHere([...args, '-o', folder])).toMatchObject({ code: 1 })
    expect(readdirSync(folder)).toEqual([])
  })

  test('is readable only by its owner if it holds a secret', async () => {
    const existing = withFile('existing', '', 0o644)
    for (const path of [inFolder('new'), existing]) {
      expect(await runCliHere(['token', 'create', '--name', 'a', '-o', path])).toMatchObject({ code: 0 })
    }
    expect([mode('new'), mode('existing')]).toEqual([0o600, 0o600])
    expect(read('new')).toMatch(/^token +\S{43}\n/)
  })

  test('may be a FIFO, whose reader may come later and leave early', async () => {
    const fifo = createFifo(folder)
    const list = start(['list', '-f', 'csv', '-v', '-o', fifo])
    await patiently(() => expect(list.errors).toContain('connected to Redis'))
    expect(readFileSync(fifo, 'utf8')).toMatch(/^device_id,.*\nd1,/)
    expect(await list.exit).toBe(0)
    const ids = withFile('ids', 'd1\n'.repeat(50_000))
    const head = start(`head -1 ${fifo} & cache-cli batch --file ${ids} -f csv -o ${fifo}`)
    expect(await head.exit).toBe(0)
    expect(head.output).toMatch(/^device_id,status/)
    expect(head.errors).toBe('')
  })

  test('may be a FIFO without a reader, until Ctrl-C', async () => {
    const list = start(['list', '-v', '-o', createFifo(folder)])
    await patiently(() => expect(list.errors).toContain('connected to Redis'))
    list.kill('SIGINT')
    expect(await list.exit).toBe(130)
  })

  test.each(['/dev/stdout', '-', '/dev/fd/1', '/dev/fd/3'])(
    'may be an open file (%s), in the middle of other output',
    async (name) => {
      const path = inFolder('all')
      const both = start(`{ echo first; cache-cli get d1 -f jsonl -o ${name}; echo last; } > ${path} 3>&1`)
      expect(await both.exit).toBe(0)
      expect(read('all')).toMatch(/^first\n\{"device_id":"d1".*\}\nlast\n$/)
    },
  )

  test('receives endless results as they happen, and keeps them after Ctrl-C', async () => {
    const path = withFile('events.jsonl', 'before')
    const watch = start(['watch', '-o', path])
    await patiently(() => expect(watch.errors).toContain('Watching'))
    expect(read('events.jsonl')).toBe('before')
    await hint(database.client, 'changed', ['a'])
    await patiently(() => expect(read('events.jsonl')).toMatch(/^\{.*"device_ids":\["a"\].*\}\n$/))
    watch.kill('SIGINT')
    expect(await watch.exit).toBe(130)
    expect(read('events.jsonl')).toContain('"a"')
  })
})

describe('the format', () => {
  test.each([
    ['x.csv', /^device_id,/],
    ['x.JSON', /^\[\n/],
    ['x.jsonl', /^\{"device_id":"d1",/],
    ['x.ndjson', /^\{"device_id":"d1",/],
    ['x.yaml', /^- device_id: d1\n/],
    ['x.yml', /^- device_id: d1\n/],
    ['x.txt', /^device_id {2}/],
    ['csv.d', /^device_id {2}/],
  ])('follows from the extension of the file: %s', async (name, beginning) => {
    expect(await runCliHere(['list', '-o', inFolder(name)], env)).toMatchObject({ code: 0 })
    expect(read(name)).toMatch(beginning)
  })

  test('is that of --format if both are given', async () => {
    await runCliHere(['list', '-o', inFolder('x.csv'), '-f', 'json'], env)
    expect(read('x.csv')).toMatch(/^\[\n/)
  })

  test.each(['json', 'jsonl', 'csv', 'yaml', 'table'])(
    '%s is not taken for the name of a file',
    async (format) => {
      const { code, errors } = await runCliHere(['list', '-o', format], env)
      expect(code).toBe(2)
      expect(errors).toBe(
        `cache-cli: --output names a file: use --format ${format}, or --output ./${format} for a file of this name\n`,
      )
    },
  )

  test('jsonl is one object per line, also for a single object', async () => {
    const list = await runCliHere(['list', '-f', 'jsonl'], env)
    expect(list.output).toMatch(/^\{"device_id":"d1",.*\}\n$/)
    const get = await runCliHere(['get', 'd1', '-f', 'jsonl'], env)
    expect(get.output).toMatch(/^\{"device_id":"d1",.*\}\n$/)
    const none = await runCliHere(['list', '--match', 'no-such', '-f', 'jsonl'], env)
    expect(none.output).toBe('')
    const info = await runCliHere(['info', '-f', 'jsonl'], env)
    expect(JSON.parse(info.output)).toMatchObject({ devices: 1, workers: [] })
  })
})

test('results that cannot be written to stdout are an error', async () => {
  const list = start('cache-cli list > /dev/full')
  expect(await list.exit).toBe(1)
  expect(list.errors).toMatch(/^cache-cli: the output can't be written: ENOSPC.*\n$/)
})

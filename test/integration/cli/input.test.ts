import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { startCliProcess } from '../../support/processes/cli-process.ts'
import { patiently } from '../../support/eventually.ts'
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

const RECORD = '{"device_id":"d1","metadata":{"datatype_name":"t"}}'

// A terminal shows a progress bar, for which the ids of a file are counted.
describe('the input, on a terminal', () => {
  test('may be a file', async () => {
    const path = join(folder, 'ids')
    writeFileSync(path, 'd1\nd2\n')
    const { errors, output } = await runCliHere(['batch', '--file', path, '-f', 'csv'], env, {
      isTerminal: true,
    })
    expect(output).toMatch(/\nd1,found,.*\nd2,missing,/)
    expect(errors).toContain('of 2')
  })

  test.each([
    ['batch', ['batch', '--file'], 'd1\n', /\nd1,found,/],
    ['explain', ['explain'], `${RECORD}\n`, /\n1,update,.*,d1,/],
  ] as const)('may be a FIFO, which can be read only once: %s', async (_, args, text, expected) => {
    const fifo = createFifo(folder)
    const writer = spawn('sh', ['-c', `printf '%s' "$1" > "$2"`, 'sh', text, fifo])
    const { code, output } = await runCliHere([...args, fifo, '-f', 'csv'], env, { isTerminal: true })
    writer.kill()
    expect(code).toBe(0)
    expect(output).toMatch(expected)
  })

  test.each(['-', '/dev/stdin', '/dev/fd/0'])('may be stdin: %s', async (name) => {
    const surroundings = { isTerminal: true, stdin: 'd1\n' }
    const batch = await runCliHere(['batch', '--file', name, '-f', 'csv'], env, surroundings)
    expect(batch).toMatchObject({ code: 0, output: expect.stringMatching(/\nd1,found,/) })
    expect(batch.errors).toContain('Reading from the terminal. Press Ctrl-D at the end of the input.')
  })
})

test('the input may be a process substitution, a here document, or a pipe by its name', async () => {
  for (const [command, expected] of [
    ['batch -f csv --file <(echo d1)', /\nd1,found,/],
    ['batch -f csv --file /dev/stdin <<< d1', /\nd1,found,/],
    ['batch -f csv --file /dev/fd/3 3<<< d1', /\nd1,found,/],
    [`explain -f csv <(echo '${RECORD}')`, /\n1,update,.*,d1,/],
  ] as const) {
    const cli = startCliProcess(`cache-cli ${command}`, env)
    expect(await cli.exit, `${command}: ${cli.errors}`).toBe(0)
    expect(cli.output).toMatch(expected)
  }
})

test.each([
  ['batch', ['batch', '--file']],
  ['explain', ['explain', '--no-redis']],
] as const)('%s ends on SIGTERM while no one writes to its FIFO', async (_, args) => {
  const cli = startCliProcess([...args, createFifo(folder), '-v', '-f', 'csv'], env)
  if (args[0] === 'batch') await patiently(() => expect(cli.output).toContain('device_id'))
  else await patiently(() => expect(cli.errors).toContain('reading'))
  cli.kill('SIGTERM')
  expect(await cli.exit).toBe(130)
})

test.each([
  ['a folder', '.', 'it is a directory'],
  ['a file that does not exist', '/no/such/file', 'ENOENT'],
] as const)('%s as the input is a usage error that names the reason', async (_, path, reason) => {
  const batch = await runCliHere(['batch', '--file', path], env)
  expect(batch).toMatchObject({ code: 2, output: '' })
  expect(batch.errors).toMatch(
    new RegExp(`^cache-cli: the input can't be read \\(${reason}.*\\): check --file\n$`),
  )
  const explain = await runCliHere(['explain', path], env)
  expect(explain).toMatchObject({ code: 2, output: '' })
  expect(explain.errors).toMatch(
    new RegExp(`^cache-cli: the input can't be read \\(${reason}.*\\): check the file name\n$`),
  )
})

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { startCliProcess } from '../../support/processes/cli-process.ts'
import { hint } from '../../support/processes/client-world.ts'
import { storeDevice } from '../../support/records/cli-fixtures.ts'
import { patiently } from '../../support/eventually.ts'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { runCliProcess } from '../../support/processes/run-program.ts'
import { folderOfFile } from '../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

const COMMANDS = [
  ...[
    'list',
    'get',
    'batch',
    'delete',
    'state',
    'watch',
    'info',
    'lag',
    'explain',
    'rebuild',
    'sweep',
    'doctor',
  ],
  ...['errors', 'errors list', 'errors show', 'errors stats', 'errors replay'],
  ...[
    'config',
    'config show',
    'config validate',
    'token',
    'token create',
    'token list',
    'token revoke',
    'completion',
  ],
]

let database: RedisDatabase
let env: Readonly<Record<string, string>>
const folder = folderOfFile()

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  env = { REDIS_URL: database.url }
  for (let i = 0; i < 3_000; i += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, j) => storeDevice(database, `d${i + j}`)))
  }
})
afterAll(async () => {
  await database.release()
})

const start = (command: string | readonly string[]) => startCliProcess(command, env)

describe('the program', () => {
  test('prints results without colors to a pipe, and remarks to stderr', async () => {
    const { code, errors, output } = await runCliProcess(['list', '--limit', '2'], env)
    expect(code).toBe(0)
    expect(output).toMatch(/^device_id {2}.*\nd\d+ +temperature .*\nd\d+ +temperature .*\n$/)
    expect(errors).toBe('There are more devices: use --page 2 or --limit all.\n')
    // FORCE_COLOR enables colors in a pipe.
    const forced = await runCliProcess(['list', '--limit', '1'], { ...env, FORCE_COLOR: '1' })
    expect(forced.output).toContain('\u001b[1m')
  })

  test.each([
    ['a table', 'list --limit all', /^device_id /],
    ['JSON', 'list --limit all -f json', /^\[$/],
    ['CSV, of a batch', 'batch --file - -f csv', /^device_id,status/],
  ])(
    'exits with 0 and without output on stderr when the reader closes the pipe: %s',
    async (_, command, firstLine) => {
      const ids = join(folder, 'ids')
      writeFileSync(ids, Array.from({ length: 50_000 }, (_id, i) => `d${i}\n`).join(''))
      const cli = start(`cache-cli ${command} < ${ids} | head -1`)
      expect(await cli.exit).toBe(0)
      expect(cli.output.trimEnd()).toMatch(firstLine)
      expect(cli.errors).toBe('')
    },
  )

  test('exits with 130 on Ctrl-C during a watch, without further output', async () => {
    const watch = start(['watch', '-f', 'json'])
    await patiently(() => expect(watch.errors).toBe('Watching. Press Ctrl-C to stop.\n'))
    await hint(database.client, 'changed', ['a'])
    // Flushed: the line arrives while the program is running.
    await patiently(() => expect(watch.output).toMatch(/"device_ids":\["a"\].*\n$/))
    watch.kill('SIGINT')
    expect(await watch.exit).toBe(130)
    expect(watch.errors).toBe('Watching. Press Ctrl-C to stop.\n')
  })

  test('exits with 0 when the reader of a watch closes the pipe', async () => {
    const watch = start(['watch', '-f', 'json'])
    await patiently(() => expect(watch.errors).toContain('Watching'))
    watch.closeOutput()
    await hint(database.client, 'changed', ['a'])
    expect(await watch.exit).toBe(0)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'exits with 130 immediately on %s while it waits for input',
    async (signal) => {
      for (const ids of ['', 'd1\nd2\n']) {
        const batch = start(['batch', '--file', '-', '-f', 'csv'])
        batch.write(ids)
        await patiently(() => expect(batch.output).toContain('device_id'))
        const signalledAt = performance.now()
        batch.kill(signal)
        expect(await batch.exit).toBe(130)
        // A command that does not stop is abandoned after three seconds.
        expect(performance.now() - signalledAt).toBeLessThan(2_500)
      }
    },
  )

  test('writes all results to the file of --output and replaces its content', async () => {
    const path = join(folder, 'devices.csv')
    writeFileSync(path, 'x'.repeat(1_000_000))
    const { exit } = start(['list', '--limit', 'all', '-f', 'csv', '-o', path])
    expect(await exit).toBe(0)
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(3_001)
  })

  test('names the setting when Redis is unreachable, with a stack trace only if --verbose', async () => {
    const away = { REDIS_HOST: '127.0.0.1', REDIS_PORT: '1' }
    const message =
      "cache-cli: Redis at 127.0.0.1:1 can't be reached (connect ECONNREFUSED 127.0.0.1:1): check REDIS_TLS, and REDIS_HOST and REDIS_PORT, or the setting that replaces them: REDIS_URL, REDIS_SENTINELS or REDIS_CLUSTER_NODES\n"
    expect(await runCliProcess(['list', '-q'], away)).toEqual({ code: 4, output: '', errors: message })
    const verbose = await runCliProcess(['list', '-v'], away)
    expect(verbose).toMatchObject({ code: 4, errors: expect.stringContaining(`${message}ServiceError: `) })
  })
})

describe('the help', () => {
  test.each(COMMANDS)('of %s has examples and the exit codes', async (command) => {
    const { code, errors, output } = await runCliHere([...command.split(' '), '--help'])
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    expect(output).toContain(`Usage: cache-cli ${command} `)
    const examples = /\nExamples:\n((?: {2}.+\n)+)/.exec(output)?.[1] ?? ''
    expect(examples).toMatch(/^ {2}(?:.+ \| )?cache-cli \S.* {2}\S/)
    expect(output).toContain('  130  interrupted (Ctrl-C)')
    for (const line of output.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })

  test('of the program lists every command', async () => {
    const { code, output } = await runCliHere(['--help'])
    expect(code).toBe(0)
    for (const command of COMMANDS.filter((name) => !name.includes(' '))) {
      expect(output).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'))
    }
    expect((await runCliHere(['help', 'get'])).output).toContain('Usage: cache-cli get ')
  })

  test('is named, with a suggestion, after an unknown command or option', async () => {
    expect(await runCliHere(['lst'])).toEqual({
      code: 2,
      output: '',
      errors: "cache-cli: unknown command 'lst'\n(Did you mean list?)\n(see cache-cli --help)\n",
    })
    const { code, errors } = await runCliHere(['list', '--limt', '3'])
    expect(code).toBe(2)
    expect(errors).toContain('(Did you mean --limit?)')
    expect(errors).toContain('(see cache-cli list --help)')
  })

  test('is printed on stderr, with exit code 2, if there is no command', async () => {
    const { code, errors, output } = await runCliHere([])
    expect({ code, output }).toEqual({ code: 2, output: '' })
    expect(errors).toContain('Usage: cache-cli ')
  })
})

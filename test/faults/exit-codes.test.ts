import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { EXIT } from '../../cache-service/cli/exit-codes.ts'
import { patiently } from '../support/eventually.ts'
import { startCliProcess } from '../support/processes/cli-process.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { runCliProcess } from '../support/processes/run-program.ts'
import { storeDevice } from '../support/records/cli-fixtures.ts'
import { createTopic, uniqueName, useRedisDatabase, type RedisDatabase } from '../support/test-scope.ts'

// Every documented exit code, for every command that can end with it, as real processes.

let database: RedisDatabase
let folder: string
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  folder = mkdtempSync(join(tmpdir(), 'test-exit-codes-'))
  await storeDevice(database, 'a')
  await database.client.sadd('cache_service:{events}:types', 'alarms')
  await database.client.set('alarms', '{"values":[7]}')
  env = {
    REDIS_URL: database.url,
    KAFKA_BOOTSTRAP_SERVERS: inject('kafkaBrokers').join(),
    KAFKA_VALIDATED_DATA_TOPIC: uniqueName('validated'),
    KAFKA_ERROR_TOPIC: uniqueName('errors'),
    KAFKA_CONSUMER_GROUP_ID: uniqueName('group'),
    METRICS_PORT: '0',
  }
  for (const name of ['KAFKA_VALIDATED_DATA_TOPIC', 'KAFKA_ERROR_TOPIC'])
    await createTopic([...inject('kafkaBrokers')], env[name] ?? '', { partitions: 1 })
  // A new broker loads its offsets first.
  await patiently(async () => expect(await runCliHere(['lag'], env)).toMatchObject({ code: 0 }))
  writeFileSync(join(folder, 'found'), 'a\n')
  writeFileSync(join(folder, 'missing'), 'a\nb\n')
  writeFileSync(join(folder, 'valid'), '{"device_id":"a","metadata":{}}\n')
  writeFileSync(join(folder, 'invalid'), '{"device_id":7}\n')
  const token = { name: 'x', sha256: '0'.repeat(64), scopes: ['read'] }
  writeFileSync(
    join(folder, 'tokens'),
    `${JSON.stringify(token)}\n${JSON.stringify({ ...token, name: 'y' })}\n`,
  )
})
afterAll(async () => {
  await database.release()
  rmSync(folder, { recursive: true })
})

/** Situations, as changes of the environment. */
const NORMAL = {}
const NO_REDIS = { REDIS_URL: 'redis://127.0.0.1:1' }
const NO_KAFKA = { KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' }
const NO_TOPIC = { KAFKA_VALIDATED_DATA_TOPIC: 'no-such-topic', KAFKA_ERROR_TOPIC: 'no-such-errors' }
const BAD_SETTING = { REDIS_PORT: 'x' }
const NO_API = { CACHE_API_URL: 'http://127.0.0.1:1' }
const withUnknownUser = (url: string) => ({ REDIS_URL: url.replace('redis://', 'redis://no-such-user:x@') })
const UNKNOWN_USER = 'unknown user'

type Situation = Readonly<Record<string, string>> | typeof UNKNOWN_USER
type Ending = readonly [code: number, command: string, situation: Situation]

/** Commands that read from Redis, or from an API. */
const READERS = ['list', 'get a', 'batch --file FOLDER/found', 'delete --yes b', 'state', 'watch', 'info']
/** Commands that read topics. */
const TOPIC_READERS = ['lag', 'errors list', 'errors stats', 'errors replay', 'rebuild --dry-run']
const OFFLINE = [
  'config show',
  'config validate',
  'token create --name n',
  'token list --file FOLDER/tokens',
  'completion zsh',
]

const ENDINGS: readonly Ending[] = [
  ...[
    ...READERS,
    ...TOPIC_READERS,
    ...OFFLINE,
    'errors show 0:0',
    'explain',
    'sweep',
    'doctor',
    'token revoke x',
  ].map((command): Ending => [2, `${command} --no-such-option`, NORMAL]),
  ...[
    ...READERS,
    ...TOPIC_READERS,
    'sweep',
    'errors show 0:0',
    'explain FOLDER/valid',
    'config validate',
    'config show',
  ].map((command): Ending => [2, command, BAD_SETTING]),
  ...[
    ...READERS,
    ...TOPIC_READERS,
    ...OFFLINE,
    'sweep',
    'errors show 0:0',
    'explain FOLDER/valid',
    'doctor',
  ].map((command): Ending => [1, `${command} -o /no/such/folder/file`, NORMAL]),
  ...[...READERS.filter((command) => command !== 'watch'), ...TOPIC_READERS, ...OFFLINE].map(
    (command): Ending => [command.startsWith('delete') ? 3 : 0, command, NORMAL],
  ),
  ...[
    'delete --yes a',
    'sweep',
    'doctor',
    'explain FOLDER/valid',
    'explain FOLDER/invalid --no-redis --help',
  ].map((command): Ending => [0, command, NORMAL]),
  ...[...READERS, 'sweep', 'rebuild --dry-run', 'errors replay', 'explain FOLDER/valid', 'doctor'].map(
    (command): Ending => [4, command, NO_REDIS],
  ),
  ...[...TOPIC_READERS, 'errors show 0:0', 'explain --partition 0 --offset 0', 'doctor'].map(
    (command): Ending => [4, command, NO_KAFKA],
  ),
  ...[...READERS, 'lag'].map((command): Ending => [4, command, NO_API]),
  ...[...TOPIC_READERS, 'errors show 0:0', 'explain --partition 0 --offset 0'].map((command): Ending => [
    3,
    command,
    NO_TOPIC,
  ]),
  ...[
    'get b',
    'batch --file FOLDER/missing',
    'state b',
    'errors show 0:7',
    'explain --partition 0 --offset 7',
  ].map((command): Ending => [3, command, NORMAL]),
  [3, 'token revoke z --yes --file FOLDER/tokens', NORMAL],
  ...[...READERS, 'sweep', 'rebuild --dry-run', 'errors replay', 'explain FOLDER/valid'].map(
    (command): Ending => [5, command, UNKNOWN_USER],
  ),
  [1, 'doctor', UNKNOWN_USER],
  [1, 'doctor', BAD_SETTING],
  ...['delete a', 'rebuild', 'errors replay --to topic', 'token revoke x --file FOLDER/tokens'].map(
    (command): Ending => [5, command, NORMAL],
  ),
  [0, 'token revoke x --yes --file FOLDER/tokens', NORMAL],
  [6, 'explain FOLDER/invalid', NORMAL],
]

test.each(ENDINGS)('%i: %s (%j)', async (code, command, situation) => {
  const changed = situation === UNKNOWN_USER ? withUnknownUser(database.url) : situation
  const args = command.split(' ').map((word) => word.replace('FOLDER', folder))
  if (code === 0 && command === 'delete --yes a') await storeDevice(database, 'a')
  const ended = await runCliProcess(args, { ...env, ...changed })
  if (command.startsWith('delete')) await storeDevice(database, 'a')
  expect(ended.code, ended.errors).toBe(code)
  // The results of these say what is wrong.
  if (code !== EXIT.ok && code !== EXIT.invalid && !/^(doctor|delete)/.test(command))
    expect(ended.errors).not.toBe('')
})

test.each([
  ['watch', 'Watching'],
  ['lag --watch --format jsonl', '"lag"'],
  ['batch --file - --format csv', 'device_id'],
  ['explain - --verbose', 'reading'],
])('130: %s (Ctrl-C)', async (command, sign) => {
  const cli = startCliProcess(command.split(' '), env)
  await patiently(() => expect(cli.output + cli.errors).toContain(sign))
  cli.kill('SIGINT')
  expect(await cli.exit).toBe(EXIT.interrupted)
})

test('the table has every exit code, and every command with success and a usage error', async () => {
  const codes = new Set([...ENDINGS.map(([code]) => code), EXIT.interrupted])
  expect([...codes].toSorted((a, b) => a - b)).toEqual(Object.values(EXIT).toSorted((a, b) => a - b))
  const { output } = await runCliHere(['completion', 'bash'])
  const paths = [...output.matchAll(/^ {4}'([a-z ]+)'\) words=/gm)].map(([, path = '']) => path)
  const leaves = paths.filter((path) => !paths.some((other) => other.startsWith(`${path} `)))
  expect(leaves.length).toBeGreaterThan(20)
  for (const leaf of leaves) {
    const own = ENDINGS.filter(([, command]) => `${command} `.startsWith(`${leaf} `)).map(([code]) => code)
    expect({ leaf, codes: own }).toMatchObject({ codes: expect.arrayContaining([EXIT.usage]) })
  }
})

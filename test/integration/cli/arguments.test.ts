import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCliHere } from '../../support/processes/run-cli-here.ts'

// What the arguments and files alone decide is reported without any server: nothing listens at these addresses.
const NO_SERVERS = { REDIS_URL: 'redis://127.0.0.1:1', KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' }

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-cli-arguments-'))
  writeFileSync(join(folder, 'empty'), '')
  writeFileSync(join(folder, 'record.json'), '{"device_id":"a","metadata":{}}')
  writeFileSync(join(folder, 'latin1.txt'), Buffer.from('sensor-\xe4\n', 'latin1'))
  writeFileSync(join(folder, 'broken.json'), '[{"device_id":')
  writeFileSync(join(folder, 'invalid.jsonl'), '{"device_id":7}\n')
})
afterAll(() => rmSync(folder, { recursive: true }))

const run = (command: string) =>
  runCliHere(
    command.split(' ').map((word) => word.replace('FOLDER', folder)),
    NO_SERVERS,
  )

test.each([
  ['explain /no/such/file', "the input can't be read (ENOENT"],
  ['explain FOLDER', "the input can't be read (it is a directory)"],
  ['explain FOLDER/empty', 'no record to explain: the input is empty'],
  ['explain --partition 1', '--partition and --offset must be used together'],
  ['explain --partition 1 --offset 2 FOLDER/record.json', 'use either a file or --partition and --offset'],
  ['explain --partition 1 --offset 2 --key a', 'omit them'],
  ['explain --partition 1 --offset 2 --tombstone', 'omit them'],
  ['explain --tombstone', '--tombstone needs --key'],
  ['explain --tombstone --key a FOLDER/record.json', 'omit the file'],
  ['batch --file /no/such/file', "the input can't be read (ENOENT"],
  ['batch --file FOLDER/latin1.txt', 'the id file is neither UTF-8 nor UTF-16'],
  ['batch --file FOLDER/broken.json', 'the id file must be a JSON list'],
  ['list --filter x', 'must have the form field=value'],
  ['list --updated-after soon', '--updated-after soon is not a time'],
  ['delete --yes \u0007', 'is not a valid device id'],
  ['errors list --since soon', '--since soon is not a time'],
  ['errors stats --until soon', '--until soon is not a time'],
  ['errors replay --since soon', '--since soon is not a time'],
  ['errors show 7', 'It must be a partition and an offset'],
  ['list --token-file t', '--token-file is only used with an API'],
  ['lag --token-file t', '--token-file is only used with an API'],
  ['list --api http://127.0.0.1:1 --token-file /no/such/file', "can't be read (ENOENT"],
  ['sweep --api http://127.0.0.1:1', 'this command does not query an API: omit --api'],
  ['explain --no-redis --api http://127.0.0.1:1 FOLDER/record.json', 'omit --api'],
  ['config show --api http://127.0.0.1:1', 'omit --api'],
  ['doctor --token-file t', 'omit --token-file'],
])('%s is a usage error, whether the servers answer or not', async (command, message) => {
  const { code, errors, output } = await run(command)
  expect({ code, output }).toEqual({ code: 2, output: '' })
  expect(errors).toContain(message)
})

test.each(['delete a', 'errors replay --to topic'])(
  '%s is refused without a terminal, whether the servers answer or not',
  async (command) => {
    expect(await run(command)).toMatchObject({ code: 5, errors: expect.stringContaining('use --yes') })
  },
)

test('explain needs no Redis for records that change no device', async () => {
  expect(await run('explain FOLDER/invalid.jsonl')).toMatchObject({ code: 6 })
  expect(await run('explain FOLDER/record.json')).toMatchObject({ code: 4 })
})

describe('the file of --token-file', () => {
  const use = (bytes: Uint8Array | string) => {
    writeFileSync(join(folder, 'token'), bytes)
    return run('get a --api http://127.0.0.1:1 --token-file FOLDER/token')
  }

  test.each([
    ['an empty file', '\n', 'is empty'],
    ['two lines', 'abc\ndef\n', 'must contain only the token (cache-cli token create'],
    ['the output of token create', 'token  abc\nentry  {}\n', 'must contain only the token'],
    ['UTF-16, as PowerShell writes it', Buffer.from('\uFEFFabc\r\n', 'utf16le'), 'is encoded in UTF-16'],
    ['typographic quotes', '“abc”', 'contains characters that no token has'],
    ['Latin-1', Buffer.from([0x61, 0xe9]), 'contains characters that no token has'],
    ['a control character', 'abc\u0007', 'contains characters that no token has'],
  ])('is refused, with the fix and without its content: %s', async (_, bytes, problem) => {
    const { code, errors } = await use(bytes)
    expect(code).toBe(2)
    expect(errors).toContain(`the token file ${join(folder, 'token')} ${problem}`)
    expect(errors).toMatch(/: check --token-file\n$/)
    expect(errors).not.toMatch(/abc|def/)
  })

  test('may have a byte order mark, and spaces around the token', async () => {
    expect(await use('\uFEFF abc \r\n')).toMatchObject({ code: 4 })
  })
})

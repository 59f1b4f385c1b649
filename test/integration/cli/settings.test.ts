import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseTokens } from '../../../cache-service/http/tokens.ts'
import { parseCsvText } from '../../support/records/cli-fixtures.ts'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { folderOfFile } from '../../support/temporary-folder.ts'

// These commands work without any server.

const folder = folderOfFile()

beforeAll(() => {})

describe('config show', () => {
  test('prints every option with its value and source, but no secrets', async () => {
    const secret = join(folder, 'password')
    writeFileSync(secret, 'from-the-file\n')
    const env = {
      REDIS_HOST: 'here',
      REDIS_PASSWORD_FILE: secret,
      KAFKA_SASL_PASSWORD: 'hush',
      LOG_LEVEL: '',
    }
    const { errors, output } = await runCliHere(['config', 'show', '-f', 'json'], env)
    const settings: { name: string; value: string; from: string }[] = JSON.parse(output)
    const shown = new Map(settings.map(({ name, value, from }) => [name, `${value} (${from})`]))
    expect(shown.get('REDIS_HOST')).toBe('here (variable)')
    expect(shown.get('REDIS_PORT')).toBe('6379 (default)')
    expect(shown.get('LOG_LEVEL')).toBe('INFO (default)')
    expect(shown.get('REDIS_PASSWORD')).toMatch(/^\*\*\* \(file/)
    expect(shown.get('KAFKA_SASL_PASSWORD')).toBe('*** (variable)')
    expect(output + errors).not.toMatch(/hush|from-the-file/)
  })

  test('prints only the options that are set with --changed, and their problems', async () => {
    const { code, errors, output } = await runCliHere(['config', 'show', '--changed', '-f', 'csv'], {
      REDIS_PORT: 'x',
      REDIS_DB: '3',
    })
    expect(code).toBe(2)
    expect(parseCsvText(output)).toEqual([
      { name: 'REDIS_PORT', value: 'x', from: 'variable', problem: 'must be a whole number from 1 to 65535' },
      { name: 'REDIS_DB', value: '3', from: 'variable', problem: '' },
    ])
    expect(errors).toContain('REDIS_PORT "x" must be a whole number from 1 to 65535')
  })
})

describe('config validate', () => {
  test('reports a valid configuration, except with --quiet', async () => {
    const success = { code: 0, errors: '' }
    expect(await runCliHere(['config', 'validate'])).toEqual({
      ...success,
      output: 'The configuration is valid.\n',
    })
    expect(await runCliHere(['config', 'validate', '-q'])).toEqual({ ...success, output: '' })
    expect(await runCliHere(['config', 'validate', '-f', 'json'])).toEqual({ ...success, output: '[]\n' })
  })

  test('reports all problems at once, even with --quiet, and exits with 2', async () => {
    const env = { REDIS_PORT: 'x', LOG_LEVEL: 'loud' }
    const { code, errors, output } = await runCliHere(['config', 'validate', '-q'], env)
    expect({ code, output }).toEqual({ code: 2, output: '' })
    expect(errors).toContain('2 settings are invalid')
    expect(errors).toContain('LOG_LEVEL "loud" must be TRACE,')
    const misspelled = await runCliHere(['config', 'validate'], { ...env, REDIS_HOTS: 'x' })
    expect(misspelled.errors).toMatch(/did you mean REDIS_HOST\?\n.*2 settings are invalid/)
    const json = await runCliHere(['config', 'validate', '-f', 'json'], env)
    expect(json).toMatchObject({ code: 2, errors: '' })
    expect(JSON.parse(json.output)).toMatchObject([{ variable: 'REDIS_PORT' }, { variable: 'LOG_LEVEL' }])
  })

  test('warns of an API that others could reach without API_AUTH: it would not start', async () => {
    const { code, errors } = await runCliHere(['config', 'validate'], { API_HOST: '0.0.0.0' })
    expect(code).toBe(0)
    expect(errors).toMatch(/API_AUTH is not set.*the API would not start: set API_AUTH=token/)
    const decided = await runCliHere(['config', 'validate'], { API_HOST: '0.0.0.0', API_AUTH: 'off' })
    expect(decided.errors).not.toContain('API_AUTH is not set')
  })

  test('warns of a variable whose name is similar to that of an option', async () => {
    const { code, errors } = await runCliHere(['config', 'validate'], { REDIS_HOTS: 'here' })
    expect(code).toBe(0)
    expect(errors).toMatch(/^warning: .*REDIS_HOTS.*REDIS_HOST/)
  })
})

test('every command that needs an invalid setting exits with 2', async () => {
  const commands = [['list'], ['get', 'a'], ['info'], ['lag'], ['watch'], ['sweep']]
  const ended = await Promise.all(commands.map((args) => runCliHere(args, { REDIS_PORT: 'x' })))
  expect(ended.map(({ code, output }) => `${code}${output}`)).toEqual(['2', '2', '2', '2', '2', '2'])
  for (const { errors } of ended) expect(errors).toContain('REDIS_PORT "x"')
})

describe('config validate', () => {
  const validate = (env: Readonly<Record<string, string>>) => runCliHere(['config', 'validate'], env)

  test('reads the tokens file, which only the API needs to start', async () => {
    const path = join(folder, 'validated-tokens.jsonl')
    const env = { API_AUTH: 'token', API_TOKENS_FILE: path }
    expect(await validate(env)).toMatchObject({
      code: 2,
      errors: expect.stringMatching(/API_TOKENS_FILE.*ENOENT/),
    })
    writeFileSync(path, '{"name": "a"}')
    expect(await validate(env)).toMatchObject({
      code: 2,
      errors: expect.stringMatching(/API_TOKENS_FILE.*sha256/),
    })
    const sha256 = '0'.repeat(64)
    writeFileSync(path, JSON.stringify({ name: 'a', sha256, scopes: ['read'] }))
    expect(await validate(env)).toMatchObject({ code: 0 })
  })

  test('names the setting whose file is a directory', async () => {
    const env = { REDIS_TLS: 'true', REDIS_TLS_CA_FILE: folder }
    const { code, errors } = await validate(env)
    expect(code).toBe(2)
    expect(errors).toMatch(/REDIS_TLS_CA_FILE names a file that can't be read: .* \(EISDIR\)/)
    expect(errors).toContain('not a directory')
  })
})

describe('token create', () => {
  const create = (...args: string[]) => runCliHere(['token', 'create', ...args])
  const tokensIn = (path: string) => {
    const parsed = parseTokens(readFileSync(path, 'utf8'))
    return parsed.kind === 'ok' ? parsed.tokens : []
  }

  test('prints a new token of 256 bits, and the entry that the API needs', async () => {
    const { code, errors, output } = await create('--name', 'app', '-f', 'json')
    expect(code).toBe(0)
    const { entry, token }: { entry: unknown; token: string } = JSON.parse(output)
    expect(Buffer.from(token, 'base64url')).toHaveLength(32)
    const sha256 = createHash('sha256').update(token).digest('hex')
    expect(entry).toEqual({ name: 'app', sha256, scopes: ['read'] })
    expect(errors).toContain('API_TOKENS_FILE')
    const another = await create('--name', 'app', '-f', 'json')
    expect(another.output).not.toContain(token)
  })

  test('adds entries to a file that only its owner may read, and rejects a name that exists', async () => {
    const path = join(folder, 'tokens.jsonl')
    const a = await create('--name', 'a', '--scope', 'read,write', '--scope', 'admin', '--file', path)
    const b = await create('--name', 'b', '--expires', '90d', '--file', path)
    expect([a.code, b.code]).toEqual([0, 0])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const [first, second] = tokensIn(path)
    expect(first).toMatchObject({ name: 'a', scopes: ['read', 'write', 'admin'], expiresAtMs: undefined })
    const days = ((second?.expiresAtMs ?? 0) - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(89.9)
    expect(days).toBeLessThanOrEqual(90)
    expect(readFileSync(path, 'utf8')).not.toContain(/^token +(\S+)/.exec(a.output)?.[1])

    const before = readFileSync(path, 'utf8')
    expect(await create('--name', 'a', '--file', path)).toMatchObject({ code: 2, output: '' })
    expect(readFileSync(path, 'utf8')).toBe(before)
  })

  test('loses no entry that it has reported if a dozen processes add one at the same time', async () => {
    const path = join(folder, 'many.jsonl')
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`)
    const ended = await Promise.all(names.map((name) => create('--name', name, '--file', path)))
    const made = names.filter((_, i) => ended[i]?.code === 0)
    expect(made.length).toBeGreaterThan(0)
    expect(
      tokensIn(path)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(made.toSorted())
  })

  test('exits with 2 and creates nothing for an invalid name, scope or time', async () => {
    const path = join(folder, 'never.jsonl')
    const bad = [
      ['--name', 'a b'],
      ['--name', 'a', '--scope', 'read,rule'],
      ['--name', 'a', '--expires', '2020-01-01'],
      ['--name', 'a', '--expires', 'soon'],
      [],
    ]
    const ended = await Promise.all(bad.map((args) => create(...args, '--file', path)))
    expect(ended.map(({ code, output }) => `${code}${output}`)).toEqual(['2', '2', '2', '2', '2'])
    expect(() => statSync(path)).toThrow('ENOENT')
  })

  test('does not change a file that is not a list of tokens', async () => {
    const path = join(folder, 'other.json')
    writeFileSync(path, '{"name": 7}')
    const { code, errors } = await create('--name', 'a', '--file', path)
    expect(code).toBe(2)
    expect(errors).toContain(`${path} stays as it is: it is not a list of tokens`)
    expect(readFileSync(path, 'utf8')).toBe('{"name": 7}')
  })
})

describe('token list and revoke', () => {
  const sha256 = '0'.repeat(64)
  const entry = (name: string, more = {}) => ({ name, sha256, scopes: ['read', 'admin'], ...more })

  test('list shows names, scopes and expiry, but no hashes', async () => {
    const path = join(folder, 'listed.jsonl')
    writeFileSync(
      path,
      `# ours\n${JSON.stringify(entry('a'))}\n${JSON.stringify(entry('b', { expires: '2020-01-01T00:00:00Z' }))}\n`,
    )
    const listed = await runCliHere(['token', 'list'], { API_TOKENS_FILE: path })
    expect(listed).toEqual({
      code: 0,
      errors: '',
      output:
        'name  scopes      expires                   status\n' +
        'a     read,admin  -                         valid\n' +
        'b     read,admin  2020-01-01T00:00:00.000Z  expired\n',
    })
  })

  test.each([
    [
      'one entry per line',
      `# ours\n${JSON.stringify(entry('a'))}\n\n# theirs\n${JSON.stringify(entry('b'))}\n`,
      `# ours\n\n# theirs\n${JSON.stringify(entry('b'))}\n`,
    ],
    ['a list', JSON.stringify([entry('a'), entry('b')]), `${JSON.stringify([entry('b')], null, 2)}\n`],
    [
      'an object',
      JSON.stringify({ tokens: [entry('a'), entry('b')] }),
      `${JSON.stringify({ tokens: [entry('b')] }, null, 2)}\n`,
    ],
    ['the last token', `${JSON.stringify(entry('a'))}\n`, ''],
  ])('revoke removes one token and keeps the rest of the file: %s', async (_, before, after) => {
    const path = join(folder, 'revoked')
    writeFileSync(path, before, { mode: 0o640 })
    const refused = await runCliHere(['token', 'revoke', 'a', '--file', path])
    expect(refused).toMatchObject({ code: 5, errors: expect.stringContaining('use --yes') })
    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(
      await runCliHere(['token', 'revoke', 'a', '--file', path], {}, { isTerminal: true, stdin: 'n\n' }),
    ).toMatchObject({ code: 5 })
    expect(
      await runCliHere(['token', 'revoke', 'a', '--file', path], {}, { isTerminal: true, stdin: 'y\n' }),
    ).toMatchObject({ code: 0 })
    expect(readFileSync(path, 'utf8')).toBe(after)
    expect(await runCliHere(['token', 'revoke', 'a', '--file', path, '--yes'])).toMatchObject({
      code: after === '' ? 2 : 3,
    })
  })

  test.each([
    [['token', 'list'], 2, 'set API_TOKENS_FILE'],
    [['token', 'list', '--file', '/no/such/file'], 2, 'ENOENT'],
    [['token', 'revoke', 'a', '--file', '/no/such/file', '--yes'], 2, 'ENOENT'],
  ] as const)('%j exits with %i and names the problem', async (args, code, message) => {
    expect(await runCliHere(args)).toMatchObject({ code, errors: expect.stringContaining(message) })
  })
})

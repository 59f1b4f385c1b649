import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { proxyTo } from '../../../support/processes/client-world.ts'
import { storeDevice } from '../../../support/records/cli-fixtures.ts'
import { reservePort } from '../../../support/servers/free-port.ts'
import { patiently } from '../../../support/patiently.ts'
import { runCliHere, startCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let folder: string

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  folder = mkdtempSync(join(tmpdir(), 'test-cli-api-'))
})
afterAll(async () => {
  await database.release()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  await database.client.flushdb()
})

const inFolder = (name: string) => join(folder, name)

/** Where nobody listens until the test ends. */
async function closedAddress(): Promise<string> {
  const { port, release } = await reservePort()
  onTestFinished(release)
  return `127.0.0.1:${port}`
}

async function startedApi(env: Readonly<Record<string, string>> = {}) {
  const api = await startApi({ REDIS_URL: database.url, ...env })
  onTestFinished(() => api.stop())
  return api
}

/** As `token create` is used: the entry goes to the API's file, the token to one of its own. */
async function createToken(name: string, ...args: string[]): Promise<string> {
  const created = await runCliHere([
    ...['token', 'create', '--name', name, '--file', inFolder('tokens.jsonl'), '-f', 'json'],
    ...args,
  ])
  expect(created.code).toBe(0)
  const { token }: { token: string } = JSON.parse(created.output)
  const path = inFolder(`${name}.token`)
  writeFileSync(path, `${token}\n`)
  return path
}

describe('with an API that wants tokens', () => {
  test('a token that was created lets in, as far as its scope goes', async () => {
    const reader = await createToken('reader')
    const writer = await createToken('writer', '--scope', 'write')
    writeFileSync(inFolder('wrong.token'), 'wrong')
    const { url } = await startedApi({ API_AUTH: 'token', API_TOKENS_FILE: inFolder('tokens.jsonl') })
    await storeDevice(database, 'd')
    const get = (...args: string[]) => runCliHere(['get', 'd', '-f', 'json', '--api', url, ...args])

    expect(await get('--token-file', reader)).toMatchObject({ code: 0, errors: '' })
    const later = await createToken('later', '--expires', '1d')
    await expect.poll(async () => (await get('--token-file', later)).code, { timeout: 20_000 }).toBe(0)
    expect(await get()).toMatchObject({
      code: 5,
      output: '',
      errors: expect.stringMatching(/^cache-cli: the API wants a token \(.+\): check --token-file\n$/),
    })
    expect(await get('--token-file', inFolder('wrong.token'))).toMatchObject({
      code: 5,
      errors: expect.stringContaining('the API refuses the token (The token is unknown or has expired.)'),
    })
    expect(await get('--token-file', writer)).toMatchObject({
      code: 5,
      errors: expect.stringContaining('It needs the scope read.'),
    })
    const commands = [['list'], ['info'], ['watch'], ['lag'], ['batch', '--file', reader]]
    const refused = await Promise.all(commands.map((args) => runCliHere([...args, '--api', url])))
    expect(refused.map(({ code }) => code)).toEqual([5, 5, 5, 5, 5])
  })

  test('a token file that is not there, or holds none, is wrong usage', async () => {
    const get = (path: string) =>
      runCliHere(['get', 'd', '--api', 'http://127.0.0.1:9', '--token-file', path])
    expect(await get(inFolder('nope'))).toMatchObject({ code: 2 })
    writeFileSync(inFolder('empty'), '\n')
    expect(await get(inFolder('empty'))).toMatchObject({
      code: 2,
      errors: `cache-cli: ${inFolder('empty')} does not hold one token: check --token-file\n`,
    })
    expect(await runCliHere(['list', '--token-file', inFolder('empty')])).toMatchObject({ code: 2 })
  })
})

describe('when the API', () => {
  test('is away, the exit code is 4 and --api is named', async () => {
    const url = `http://${await closedAddress()}`
    const commands = [['list'], ['get', 'd'], ['info'], ['watch'], ['lag']]
    const ended = await Promise.all(commands.map((args) => runCliHere([...args, '--api', url])))
    expect(ended.map(({ code }) => code)).toEqual([4, 4, 4, 4, 4])
    for (const { errors } of ended) {
      expect(errors).toMatch(
        /^cache-cli: the API at \S+ can't be reached \(.*ECONNREFUSED.*\): check --api\n$/,
      )
    }
  })

  test('has lost Redis, the exit code is 4', async () => {
    const api = await startApi({ REDIS_URL: `redis://${await closedAddress()}` }, { until: '/livez' })
    onTestFinished(() => api.stop())
    const proxy = await proxyTo(api.url)
    // It would have us wait, and ask again.
    const ended = await runCliHere(['get', 'd', '--api', proxy.url])
    expect(ended).toMatchObject({ code: 4, output: '' })
    expect(ended.errors).toMatch(/^cache-cli: the API at \S+ can't answer now: /)
    expect(proxy.seen.length).toBeGreaterThan(1)
  })

  test('is away behind a proxy, the exit code is 4, but a watch of the lag goes on when it is back', async () => {
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => ({ status: 502, body: '<html>' })
    expect(await runCliHere(['lag', '--api', proxy.url])).toMatchObject({ code: 4 })
    expect(await runCliHere(['lag', '--watch', '--api', proxy.url])).toMatchObject({ code: 4 })
    proxy.treat = () => 'pass'
    const watch = startCliHere(['lag', '--watch', '--interval', '1', '-f', 'json', '--api', proxy.url])
    await patiently(() => expect(watch.output).not.toBe(''))
    proxy.treat = () => ({ status: 502, body: '<html>' })
    await patiently(() => expect(watch.errors).toBe('lost the API: trying again until it is back\n'))
    const before = watch.output
    proxy.treat = () => 'pass'
    await patiently(() => expect(watch.output.length).toBeGreaterThan(before.length))
    watch.interrupt()
    expect(await watch.ended).toMatchObject({
      code: 130,
      errors: expect.stringMatching(/\nthe API is back\n$/),
    })
  })

  test('asks for patience, it is asked again', async () => {
    await storeDevice(database, 'd')
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => (proxy.seen.length === 1 ? { status: 429, headers: { 'retry-after': '0' } } : 'pass')
    expect(await runCliHere(['get', 'd', '--api', proxy.url])).toMatchObject({ code: 0 })
    expect(proxy.seen).toHaveLength(2)
  })

  test('is something else, that is said', async () => {
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => ({ status: 200, body: '<html>' })
    expect(await runCliHere(['list', '--api', proxy.url])).toMatchObject({
      code: 1,
      errors: expect.stringContaining(
        "does not answer as our API does (Unexpected response to api/devices: it does not match the API's schema): check --api",
      ),
    })
    proxy.treat = () => ({ status: 404, body: 'Not found' })
    expect(await runCliHere(['list', '--api', proxy.url])).toMatchObject({
      code: 1,
      errors: expect.stringContaining('does not answer as our API does (HTTP 404): check --api'),
    })
  })
})

test('an address that is none, and a command that needs Redis itself, are wrong usage', async () => {
  expect(await runCliHere(['list', '--api', 'localhost:5011'])).toMatchObject({ code: 2 })
  expect(await runCliHere(['list', '--api', 'http://me:secret@127.0.0.1:9'])).toMatchObject({
    code: 2,
    errors: expect.stringContaining('It must hold no password'),
  })
  expect(await runCliHere(['sweep', '--api', 'http://127.0.0.1:9'])).toMatchObject({
    code: 2,
    errors: 'cache-cli: this command asks Redis itself, not an API: leave out --api\n',
  })
})

test('a slash at the end of the address does not matter', async () => {
  await storeDevice(database, 'd')
  const { url } = await startedApi()
  const { code, output } = await runCliHere([
    'get',
    'd',
    '-f',
    'json',
    '--api',
    `${url}/`,
    '-o',
    inFolder('d'),
  ])
  expect({ code, output }).toEqual({ code: 0, output: '' })
  expect(JSON.parse(readFileSync(inFolder('d'), 'utf8'))).toMatchObject({ device_id: 'd' })
})

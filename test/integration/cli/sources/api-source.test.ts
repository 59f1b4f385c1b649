import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { proxyTo } from '../../../support/processes/client-world.ts'
import { workerReport } from '../../../support/records/worker-report.ts'
import { storeDevice } from '../../../support/records/cli-fixtures.ts'
import { reservePort } from '../../../support/servers/free-port.ts'
import { patiently } from '../../../support/eventually.ts'
import { runCliHere, startCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { folderOfFile } from '../../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { markFilled } from '../../../support/records/filled-cache.ts'
import { lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

let database: RedisDatabase
const folder = folderOfFile()

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(async () => {
  await database.release()
})
beforeEach(async () => {
  await database.client.flushdb()
  await markFilled(database.client)
})

const inFolder = (name: string) => join(folder, name)

/** A port that stays closed until the test ends. */
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

/** Adds the entry to the file of the API, and writes the token to its own file. */
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

describe('with an API that requires tokens,', () => {
  test('a created token grants access within its scope', async () => {
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
      errors: expect.stringMatching(/^cache-cli: the API requires a token \(.+\): check --token-file\n$/),
    })
    expect(await get('--token-file', inFolder('wrong.token'))).toMatchObject({
      code: 5,
      errors: expect.stringContaining('the API rejects the token (The token is unknown or has expired.)'),
    })
    expect(await get('--token-file', writer)).toMatchObject({
      code: 5,
      errors: expect.stringContaining('The token needs the scope read.'),
    })
    const commands = [['list'], ['info'], ['watch'], ['lag'], ['batch', '--file', reader]]
    const refused = await Promise.all(commands.map((args) => runCliHere([...args, '--api', url])))
    expect(refused.map(({ code }) => code)).toEqual([5, 5, 5, 5, 5])
  })

  test('a token file that is missing or empty exits with 2', async () => {
    const get = (path: string) =>
      runCliHere(['get', 'd', '--api', 'http://127.0.0.1:9', '--token-file', path])
    expect(await get(inFolder('nope'))).toMatchObject({ code: 2 })
    writeFileSync(inFolder('empty'), '\n')
    expect(await get(inFolder('empty'))).toMatchObject({
      code: 2,
      errors: `cache-cli: the token file ${inFolder('empty')} is empty: check --token-file\n`,
    })
    expect(await runCliHere(['list', '--token-file', inFolder('empty')])).toMatchObject({ code: 2 })
  })
})

describe('when the API', () => {
  test('is unreachable, the exit code is 4 and the error names --api', async () => {
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
    // The reply asks to retry later.
    const ended = await runCliHere(['get', 'd', '--api', proxy.url])
    expect(ended).toMatchObject({ code: 4, output: '' })
    expect(ended.errors).toMatch(/^cache-cli: the API at \S+ is unavailable: /)
    expect(proxy.seen.length).toBeGreaterThan(1)
  })

  test('is down behind a proxy, the exit code is 4, but lag --watch continues when it is back', async () => {
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => ({ status: 502, body: '<html>' })
    expect(await runCliHere(['lag', '--api', proxy.url])).toMatchObject({ code: 4 })
    expect(await runCliHere(['lag', '--watch', '--api', proxy.url])).toMatchObject({ code: 4 })
    await lastingWorkerReporter(database.client, 'w').write(
      workerReport({ id: 'w', lag: [{ partition: 0, records: 1, seconds: 1 }] }),
    )
    proxy.treat = () => 'pass'
    const watch = startCliHere(['lag', '--watch', '--interval', '1', '-f', 'json', '--api', proxy.url])
    await patiently(() => expect(watch.output).not.toBe(''))
    proxy.treat = () => ({ status: 502, body: '<html>' })
    await patiently(() =>
      expect(watch.errors).toBe('lost the connection to the API: retrying until it is back\n'),
    )
    const before = watch.output
    proxy.treat = () => 'pass'
    await patiently(() => expect(watch.output.length).toBeGreaterThan(before.length))
    watch.interrupt()
    expect(await watch.ended).toMatchObject({
      code: 130,
      errors: expect.stringMatching(/\nthe API is back\n$/),
    })
  })

  test('asks to retry later, the request is retried', async () => {
    await storeDevice(database, 'd')
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => (proxy.seen.length === 1 ? { status: 429, headers: { 'retry-after': '0' } } : 'pass')
    expect(await runCliHere(['get', 'd', '--api', proxy.url])).toMatchObject({ code: 0 })
    expect(proxy.seen).toHaveLength(2)
  })

  test('is named by the environment, it is used, and errors name the variables', async () => {
    await storeDevice(database, 'd')
    const created = ['token', 'create', '--name', 'env', '--file', inFolder('env.jsonl'), '-f', 'json']
    const { token }: { token: string } = JSON.parse((await runCliHere(created)).output)
    writeFileSync(inFolder('env.token'), token)
    const { url } = await startedApi({ API_AUTH: 'token', API_TOKENS_FILE: inFolder('env.jsonl') })
    const env = { CACHE_API_URL: url, REDIS_URL: 'redis://127.0.0.1:1' }
    const refused = await runCliHere(['get', 'd'], env)
    expect(refused).toMatchObject({ code: 5, errors: expect.stringContaining('check --token-file') })
    const found = await runCliHere(['get', 'd'], { ...env, CACHE_API_TOKEN_FILE: inFolder('env.token') })
    expect(found).toMatchObject({ code: 0, errors: '' })
    const wrong = await runCliHere(['get', 'd'], { ...env, CACHE_API_TOKEN_FILE: '/no/such/file' })
    expect(wrong).toMatchObject({
      code: 2,
      errors: expect.stringMatching(/ENOENT.*check CACHE_API_TOKEN_FILE\n$/),
    })
    const away = await runCliHere(['get', 'd'], { CACHE_API_URL: 'http://127.0.0.1:1' })
    expect(away).toMatchObject({ code: 4, errors: expect.stringContaining('check CACHE_API_URL') })
    for (const invalid of ['127.0.0.1:5011', 'ftp://x', 'http://a:b@x']) {
      const { code, errors } = await runCliHere(['get', 'd'], { CACHE_API_URL: invalid })
      expect([code, errors]).toEqual([
        2,
        expect.stringMatching(/^cache-cli: CACHE_API_URL is invalid\. It must /),
      ])
    }
    // Commands that need Redis itself ignore it.
    expect(await runCliHere(['sweep'], env)).toMatchObject({
      code: 4,
      errors: expect.stringContaining('127.0.0.1:1'),
    })
  })

  test('is a different server, the error says so', async () => {
    const { url } = await startedApi()
    const proxy = await proxyTo(url)
    proxy.treat = () => ({ status: 200, body: '<html>' })
    expect(await runCliHere(['list', '--api', proxy.url])).toMatchObject({
      code: 1,
      errors: expect.stringContaining(
        "does not reply as the device cache API (Unexpected response to api/devices: it does not match the API's schema): check --api",
      ),
    })
    proxy.treat = () => ({ status: 404, body: 'Not found' })
    expect(await runCliHere(['list', '--api', proxy.url])).toMatchObject({
      code: 1,
      errors: expect.stringContaining('does not reply as the device cache API (HTTP 404): check --api'),
    })
  })
})

test('an invalid URL, and --api for a command that needs Redis itself, exit with 2', async () => {
  expect(await runCliHere(['list', '--api', 'localhost:5011'])).toMatchObject({ code: 2 })
  expect(await runCliHere(['list', '--api', 'http://me:secret@127.0.0.1:9'])).toMatchObject({
    code: 2,
    errors: expect.stringContaining('It must not contain a password'),
  })
  expect(await runCliHere(['sweep', '--api', 'http://127.0.0.1:9'])).toMatchObject({
    code: 2,
    errors: 'cache-cli: this command does not query an API: omit --api\n',
  })
})

test('a trailing slash in the URL is ignored', async () => {
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

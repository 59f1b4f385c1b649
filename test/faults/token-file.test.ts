import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startApi, type RunningApi } from '../support/processes/start-api.ts'
import { folderOfTest } from '../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../support/test-scope.ts'
import { newToken, tokenEntry, writeTokens, type TokenEntry } from '../support/tokens.ts'

let database: RedisDatabase
let folder: string
let path: string

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(() => {
  folder = folderOfTest()
  path = join(folder, 'tokens.json')
})

describe('a tokens file that changes while the api runs', () => {
  test('may have a byte order mark', async () => {
    const [first, second] = [newToken(), newToken()]
    const api = await startWith([tokenEntry('a', first)])
    await writeFile(path, `\uFEFF${JSON.stringify([tokenEntry('b', second)])}`)
    await eventually(async () => expect([await ask(api, first), await ask(api, second)]).toEqual([401, 200]))
    expect(await problemsOf(api)).toEqual([])
  })

  test.each([
    ['removed', () => rm(path), /cannot be read: ENOENT/],
    ['no list of tokens', () => writeFile(path, '[1]'), /expected object/],
    ['encoded in UTF-16', () => writeFile(path, '\uFEFF[]', 'utf16le'), /UTF-16/],
    ['a directory', () => rm(path).then(() => mkdir(path)), /it is a directory/],
    ['a symbolic link to nothing', () => rm(path).then(() => symlink('absent', path)), /ENOENT/],
    ['too large', () => writeFile(path, ' '.repeat(2 * 1024 * 1024)), /larger than/],
  ])(
    'and then is %s leaves its tokens in use, and is reported once until it is valid',
    async (_, spoil, reason) => {
      const [token, later] = [newToken(), newToken()]
      const api = await startWith([tokenEntry('a', token)])
      expect(await api.metric('tokens_file_valid')).toBe(1)
      await spoil()
      await eventually(async () => expect(await problemsOf(api)).toEqual([expect.stringMatching(reason)]))
      expect(await api.metric('tokens_file_valid')).toBe(0)
      expect(await ask(api, token)).toBe(200)
      await rm(path, { recursive: true, force: true })
      await writeTokens(path, [tokenEntry('b', later)])
      await eventually(async () => expect(await problemsOf(api)).toEqual([]))
      expect([await ask(api, token), await ask(api, later)]).toEqual([401, 200])
      expect(await api.metric('tokens_file_valid')).toBe(1)
      const refusals = api
        .lines()
        .filter(({ level, msg }) => level === 'error' && msg.includes('API_TOKENS_FILE'))
      // A slow machine may find the file missing before it is written again.
      expect(refusals.filter((line) => reason.test(String(line['reason'])))).toHaveLength(1)
    },
  )

  test.each(['', '# none left\n', '[]'])('to %j revokes all tokens, and is reported once', async (text) => {
    const token = newToken()
    const api = await startWith([tokenEntry('a', token)])
    await writeFile(path, text)
    await eventually(async () => expect(await ask(api, token)).toBe(401))
    expect(await problemsOf(api)).toEqual([expect.stringContaining('it has no tokens')])
    expect(await api.metric('tokens_file_valid')).toBe(0)
    await writeTokens(path, [tokenEntry('a', token)])
    await eventually(async () => expect(await ask(api, token)).toBe(200))
    expect(api.lines().filter(({ msg }) => msg.includes('has no tokens any more'))).toHaveLength(1)
  })

  test('through a symbolic link, as Kubernetes replaces a mounted secret, is noticed', async () => {
    const [first, second] = [newToken(), newToken()]
    for (const [name, token] of Object.entries({ first, second })) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'tokens.json'), JSON.stringify([tokenEntry('a', token)]))
    }
    await symlink('first', join(folder, 'data'))
    await symlink(join('data', 'tokens.json'), path)
    const api = await start()
    expect([await ask(api, first), await ask(api, second)]).toEqual([200, 401])
    await symlink('second', join(folder, 'data.new'))
    await rename(join(folder, 'data.new'), join(folder, 'data'))
    await eventually(async () => expect([await ask(api, first), await ask(api, second)]).toEqual([401, 200]))
  })
})

describe('an open event stream', () => {
  test('ends when its token is revoked, or loses the scope, and goes on if its token is kept', async () => {
    const [revoked, reduced, kept] = [newToken(), newToken(), newToken()]
    const api = await startWith([tokenEntry('a', revoked), tokenEntry('b', reduced), tokenEntry('c', kept)])
    const streams = await Promise.all([revoked, reduced, kept].map((token) => openStream(api, token)))
    await eventually(async () => expect(await api.metric('sse_clients')).toBe(3))
    await writeTokens(path, [tokenEntry('b', reduced, { scopes: ['write'] }), tokenEntry('renamed', kept)])
    await Promise.all([streams[0]?.ended, streams[1]?.ended])
    expect(await api.metric('sse_clients')).toBe(1)
    expect(await api.metric('sse_dropped_total', { reason: 'unauthorized' })).toBe(2)
    expect(streams[2]?.isEnded()).toBe(false)
    await writeFile(path, '[]')
    await streams[2]?.ended
  })

  test('ends when its token expires', async () => {
    const token = newToken()
    const expires = new Date(Date.now() + 5_000).toISOString()
    const api = await startWith([tokenEntry('a', token, { expires })])
    const stream = await openStream(api, token)
    expect(stream.isEnded()).toBe(false)
    await stream.ended
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires))
    expect(await ask(api, token)).toBe(401)
  })
})

async function startWith(entries: readonly TokenEntry[]): Promise<RunningApi> {
  await writeTokens(path, entries)
  return await start()
}

async function start(): Promise<RunningApi> {
  const api = await startApi({ REDIS_URL: database.url, API_AUTH: 'token', API_TOKENS_FILE: path })
  onTestFinished(() => api.stop())
  return api
}

async function ask(api: RunningApi, token: string): Promise<number> {
  return (await fetch(`${api.url}/api/devices`, { headers: { authorization: `Bearer ${token}` } })).status
}

/** What `/readyz` says about the file. */
async function problemsOf(api: RunningApi): Promise<string[]> {
  const { reasons }: { reasons: string[] } = JSON.parse(await (await fetch(`${api.url}/readyz`)).text())
  return reasons.filter((reason) => reason.includes('API_TOKENS_FILE'))
}

async function openStream(api: RunningApi, token: string) {
  const response = await fetch(`${api.url}/api/events`, { headers: { authorization: `Bearer ${token}` } })
  expect(response.status).toBe(200)
  let isEnded = false
  const ended = response.text().finally(() => (isEnded = true))
  ended.catch(() => undefined) // the api stops before the stream is awaited
  return { ended, isEnded: () => isEnded }
}

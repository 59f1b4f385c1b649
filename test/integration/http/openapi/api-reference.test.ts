import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { startPathPrefixProxy, type PathPrefixProxy } from '../../../support/servers/path-prefix-proxy.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let running: RunningApi
let proxy: PathPrefixProxy

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  running = await startApi({ REDIS_URL: database.url })
  proxy = await startPathPrefixProxy(running.url, '/iot/cache')
})
afterAll(async () => {
  await proxy.stop()
  await running.stop()
  await database.release()
})

/** The URLs that a page refers to, as a browser resolves them. */
async function referencesOf(page: Response): Promise<string[]> {
  const html = await page.text()
  return [...html.matchAll(/ (?:src|href)="([^"]*)"/g)].map(([, path = '']) => new URL(path, page.url).href)
}

describe('the API reference', () => {
  test.each(['/docs', '/docs/'])(
    'at %s loads every file from below the path prefix of a reverse proxy',
    async (path) => {
      const page = await fetch(proxy.url + path)
      expect([page.url, page.status]).toEqual([`${proxy.url}/docs/`, 200])
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
      const references = await referencesOf(page)
      expect(references.length).toBeGreaterThan(4)
      for (const url of references) {
        expect(url).toMatch(new RegExp(`^${proxy.url}/docs/static/`))
        expect([url, (await fetch(url)).status]).toEqual([url, 200])
      }
      expect(proxy.strayPaths).toEqual([])
    },
  )

  test.each(['/openapi.json', '/docs/json'])(
    'and %s name the API below the prefix as the server',
    async (path) => {
      const { servers } = Object(await (await fetch(proxy.url + path)).json())
      const api = new URL(servers[0].url, proxy.url + path).href.replace(/\/$/, '')
      expect(api).toBe(proxy.url)
      expect((await fetch(`${api}/api/devices`)).status).toBe(200)
    },
  )

  test('allows nothing inline and nothing from other hosts', async () => {
    const page = await fetch(`${running.url}/docs/`)
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self';")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(await page.text()).not.toMatch(/https?:\/\/|<script>|<style>| style=/)
  })

  test('shows the same document as /openapi.json', async () => {
    const withoutServers = async (path: string) => {
      const { servers: _, ...document } = Object(await (await fetch(running.url + path)).json())
      return document
    }
    expect(await withoutServers('/docs/json')).toEqual(await withoutServers('/openapi.json'))
  })
})

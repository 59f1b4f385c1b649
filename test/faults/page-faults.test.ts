import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { banner, following, linkTo, rowOf, search, tile } from '../support/browser/open-page.ts'
import { HOSTILE_ID, pythonTime, startApi } from '../support/browser/platform.ts'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'
import { startApiProxy } from '../support/servers/api-proxy.ts'
import { startPathPrefixProxy } from '../support/servers/path-prefix-proxy.ts'
import { requireTokens, tokenEntry, writeTokens, type TokenEntry } from '../support/tokens.ts'

const { platform, api, browser, openPage } = await usePlatform()

const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name, exact: true })
const isStale = async (page: Page) =>
  await page.evaluate<boolean>("document.querySelector('main').hasAttribute('data-stale')")

describe('an address', () => {
  test('opens a device, however odd its id is, and whether it is escaped or typed', async () => {
    const page = await openPage('#overview')
    const typed = ['100%', '%', '%E0%A4%A', '..', '.', 'constructor', '__proto__', 'a?b#c&d']
    const fragments = [...typed, ...[' a  b ', HOSTILE_ID, '\u202eabc'].map(encodeURIComponent)]
    const ids = [...typed, ' a  b ', HOSTILE_ID, '\u202eabc']
    for (const [i, id] of ids.entries()) {
      await platform.storeDevice(id, { datatype_name: `number ${i}` })
      await page.evaluate(`location.hash = ${JSON.stringify(`device=${fragments[i]}`)}`)
      await page.getByRole('row', { name: `datatype_name number ${i} text` }).waitFor()
      expect(await page.locator('#device-title').textContent()).toBe(id)
    }
    await page.getByRole('link', { name: 'State' }).click()
    await heading(page, 'State').waitFor()
  })

  test('that the page does not know shows the overview, and says so', async () => {
    const page = await openPage('#%')
    for (const fragment of ['%', 'device=', '<img src=x>', 'devices%', '__proto__']) {
      await page.evaluate(`location.hash = ${JSON.stringify(fragment)}`)
      await page.getByText(`This page has no view “${fragment}”.`).waitFor()
      await tile(page, 'API').getByText('Ready').waitFor()
    }
  })

  test('of what is no device id says so', async () => {
    const page = await openPage(`#device=${'x'.repeat(257)}`)
    await page.getByText('This is not a device id').waitFor()
  })

  test('of a device that is not in the cache says so', async () => {
    const page = await openPage('#device=absent%2F1')
    await page.getByText('This device is not in the cache').waitFor()
    expect(await page.getByRole('button', { name: 'Delete this device…' }).count()).toBe(0)
  })
})

test('text of others is shown as text: ids, fields, values and messages', async () => {
  await platform.storeDevice('<b>id</b>', {
    '<img src=x onerror="document.title=5">': '<script>document.title=6</script>',
  })
  const page = await openPage(`#device=${encodeURIComponent('<b>id</b>')}`)
  await page.getByRole('row', { name: '<img src=x onerror' }).getByText('<script>document.title=6').waitFor()
  await page.getByRole('link', { name: 'Devices' }).click()
  await search(page, 'zz')
  await linkTo(page, HOSTILE_ID).waitFor()
  await page.getByRole('link', { name: 'Dead letters' }).click()
  await page.getByText('timestamp: <img src=x onerror').waitFor()
  await following(page)
  await platform.hints.hint('changed', [HOSTILE_ID], 0)
  await page.getByRole('link', { name: 'Changes' }).click()
  await page.getByRole('link', { name: HOSTILE_ID }).waitFor()
  expect(await page.title()).toBe('Changes – Device cache')
})

test.each([-3_600_000, 3_600_000])(
  'ages are right although the clock of the computer is wrong by %d ms',
  async (clockAheadMs) => {
    await platform.storeDevice('now:1', { last_updated: pythonTime(Date.now() - 120_000) })
    const page = await openPage('#devices', { clockAheadMs })
    await search(page, 'now:')
    await rowOf(page, 'now:1')
      .getByText(/^[2-4] min ago$/)
      .waitFor()
    await page.getByRole('link', { name: 'Overview' }).click()
    await page
      .getByText(/The clock of this computer is\s+(1 h|59 min)\s+(behind|ahead of)\s+the server's/)
      .waitFor()
  },
)

describe('below a path prefix of a reverse proxy', () => {
  const startProxy = async (prefix: string) => {
    const proxy = await startPathPrefixProxy(api.url, prefix)
    onTestFinished(() => proxy.stop())
    return proxy
  }

  test('everything works: the views, the API, the events and the links', async () => {
    const proxy = await startProxy('/tools/cache')
    const page = await openPage('', {}, proxy.url)
    await following(page)
    await tile(page, 'API').getByText('Ready').waitFor()
    await page.getByRole('link', { name: 'Devices' }).click()
    await search(page, 'even:004')
    await linkTo(page, 'even:004').click()
    await page.getByRole('row', { name: 'persist true boolean' }).waitFor()
    expect(page.url()).toBe(`${proxy.url}/#device=even%3A004`)
    expect(await page.evaluate("document.querySelector('footer a').href")).toBe(`${proxy.url}/docs`)
  })

  test('an address without the final slash is not blank, but says what to do', async () => {
    const proxy = await startProxy('/cache')
    const context = await browser.newContext()
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.goto(proxy.url)
    await page.getByText('the address must end with a slash').waitFor()
  })
})

describe('a service that requires tokens', () => {
  async function startGuarded(entries: readonly TokenEntry[]) {
    const env = await requireTokens(entries)
    const guarded = await startApi(platform.redis, { env })
    onTestFinished(() => guarded.stop())
    return {
      url: guarded.url,
      write: (tokens: readonly TokenEntry[]) => writeTokens(env.API_TOKENS_FILE, tokens),
    }
  }

  const enter = async (page: Page, token: string) => {
    await page.getByRole('dialog', { name: 'Token required' }).getByLabel('Token').fill(token)
    await page.keyboard.press('Enter')
  }

  test('prompts for a token, keeps it for the tab, and prompts again when it has expired', async () => {
    const reader = tokenEntry('reader', 'right-token')
    const guarded = await startGuarded([reader])
    const page = await openPage('#devices', { mayComplain: true }, guarded.url)
    const dialog = page.getByRole('dialog', { name: 'Token required' })
    await enter(page, 'wrong-token')
    await dialog.getByText('rejected this token').waitFor()
    await enter(page, 'right-token')
    await rowOf(page, 'e').first().waitFor()
    await following(page)
    await page.reload()
    await rowOf(page, 'e').first().waitFor()
    expect(await dialog.isVisible()).toBe(false)
    expect(page.url()).not.toContain('token')

    const newToken = tokenEntry('new', 'new-token')
    await guarded.write([{ ...reader, expires: '2020-01-01T00:00:00Z' }, newToken])
    await dialog.getByText('rejected this token').waitFor()
    await enter(page, 'new-token')
    await dialog.waitFor({ state: 'hidden' })
    await search(page, 'even:000')
    await linkTo(page, 'even:000').waitFor()
    await page.getByRole('button', { name: 'Forget token' }).click()
    await dialog.waitFor()
  })

  test('exports with the token, which is not part of an address', async () => {
    const guarded = await startGuarded([tokenEntry('reader', 'reader')])
    const page = await openPage('#devices?contains=even%3A00', { mayComplain: true }, guarded.url)
    const addresses: string[] = []
    page.on('request', (request) => addresses.push(request.url()))
    await enter(page, 'reader')
    await linkTo(page, 'even:000').waitFor()
    const downloading = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export CSV' }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe('devices.csv')
    const [header, first] = (await readFile(await download.path(), 'utf8')).split('\n')
    expect(header).toMatch(/^device_id,/)
    expect(first).toMatch(/^even:000,/)
    expect(addresses.filter((address) => address.includes('reader'))).toEqual([])
  })

  test('offers deletion only to a token that may delete, and names the scope that is missing', async () => {
    const guarded = await startGuarded([
      tokenEntry('reader', 'reader'),
      tokenEntry('writer', 'writer', { scopes: ['read', 'write'] }),
      tokenEntry('blind', 'blind', { scopes: ['write'] }),
    ])
    const open = async (token: string) => {
      const page = await openPage('#device=even%3A002', { mayComplain: true }, guarded.url)
      await enter(page, token)
      return page
    }
    const button = (page: Page) => page.getByRole('button', { name: 'Delete this device…' })
    await button(await open('writer')).waitFor()
    const reader = await open('reader')
    await reader.getByRole('row', { name: 'persist true boolean' }).waitFor()
    await following(reader)
    expect(await button(reader).count()).toBe(0)
    const blind = await open('blind')
    await banner(blind).getByText('The token does not allow reading.').waitFor()
    await blind.getByText('The token needs the scope read.').waitFor()
  })
})

test('a time limit is named as it is, whether the status or the content of an answer does not arrive', async () => {
  const proxy = await startApiProxy(api.url)
  onTestFinished(() => proxy.stop())
  const page = await openPage('', { mayComplain: true }, proxy.url)
  await following(page)
  proxy.treat = ({ line }) =>
    line.includes('/api/redis') ? 'hang' : line.includes('/api/access') ? 'stall' : 'pass'
  const messages = await page.evaluate(`
    import('${proxy.url}/page/api.js').then(async ({ createApi }) => {
      const api = createApi(undefined, { observe() {} })
      const messageOf = (path) => api.ask(path, { timeoutMs: 1_000 }).catch((error) => error.message)
      return await Promise.all([messageOf('api/redis'), messageOf('api/access')])
    })`)
  const message = 'The API did not respond within 1 second.'
  expect(messages).toEqual([message, message])
})

describe('an outage', () => {
  test('of the API keeps what was known last, greyed, and ends by itself, also for what failed during it', async () => {
    const first = await startApi(platform.redis)
    const page = await openPage('#devices', { mayComplain: true }, first.url)
    await search(page, 'even:00')
    await linkTo(page, 'even:000').waitFor()
    await following(page)
    await first.stop()
    await banner(page)
      .getByText(/The API does not respond\.\s+Since (at least )?\d+:\d\d:\d\d/)
      .waitFor()
    expect(await isStale(page)).toBe(true)
    await search(page, 'odd:00')
    await page.getByText('The devices could not be loaded').waitFor()
    await page.getByText('found by the previous search').waitFor()
    expect(await linkTo(page, 'even:000').isVisible()).toBe(true)

    const second = await startApi(platform.redis, { at: first.url })
    onTestFinished(() => second.stop())
    await banner(page).waitFor({ state: 'detached' })
    await linkTo(page, 'odd:001').waitFor()
    await following(page)
    await page.getByText('The devices could not be loaded').waitFor({ state: 'detached' })
    expect(await isStale(page)).toBe(false)
    await platform.storeDevice('odd:001', { datatype_name: 'new', last_updated: pythonTime(Date.now()) })
    await platform.hints.hint('changed', ['odd:001'], 0)
    await rowOf(page, 'odd:001').getByText('new').waitFor()
  })

  // The last test: Redis keeps nothing.
  test('of Redis is named, and ends by itself in every view', async () => {
    const page = await openPage('#redis', { mayComplain: true })
    await page.getByRole('region', { name: 'Memory' }).getByText('noeviction').waitFor()
    await platform.redis.kill('SIGKILL')
    await banner(page).getByText('Redis does not respond.').waitFor()
    await page.getByText('Not live', { exact: true }).waitFor()
    await page.getByText(/Last loaded at \d+:\d\d:\d\d/).waitFor()
    expect(await page.getByText('noeviction').isVisible()).toBe(true)
    expect(await isStale(page)).toBe(true)
    await page.getByRole('link', { name: 'State' }).click()
    await page.getByText('prices', { exact: true }).waitFor()
    const second = await openPage('#state', { mayComplain: true })
    await second.getByText('The state could not be loaded').waitFor()

    await platform.redis.start()
    await platform.storeDevice('after:1', { datatype_name: 'back' })
    await platform.report()
    await banner(page).waitFor({ state: 'detached' })
    await second.getByText('Nothing has been published yet').waitFor()
    await page.getByRole('link', { name: 'Devices' }).click()
    await search(page, 'after:')
    await linkTo(page, 'after:1').waitFor()
    await eventually(async () => expect(await isStale(page)).toBe(false))
  })
})

import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openChromium } from '../support/servers/chromium.ts'
import { eventually } from '../support/eventually.ts'
import {
  HOSTILE_ID,
  pythonTime,
  startApi,
  startPlatform,
  type Platform,
  type RunningApi,
} from './platform.ts'

let platform: Platform
let api: RunningApi
let browser: Browser

beforeAll(async () => {
  platform = await startPlatform()
  api = await startApi(platform.redis)
  browser = await openChromium()
})

afterAll(async () => {
  await browser.close()
  await api.stop()
  await platform.stop()
})

/** A new tab. A console message, an exception, or a request to another origin fails the test. */
async function openPage(
  path = '/',
  {
    url = api.url,
    mayComplain = false,
    ...options
  }: BrowserContextOptions & { url?: string; mayComplain?: boolean } = {},
): Promise<Page> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) complaints.push(`a request to ${request.url()}`)
  })
  onTestFinished(async () => {
    await context.close()
    if (!mayComplain) expect(complaints).toEqual([])
  })
  await page.goto(url + path)
  return page
}

const rowOf = (page: Page, id: string) =>
  page.getByRole('table', { name: /^Devices/ }).getByRole('row', { name: id })
const idsIn = async (page: Page) =>
  await page
    .getByRole('table', { name: /^Devices/ })
    .getByRole('rowheader')
    .getByRole('button')
    .allInnerTexts()

async function search(page: Page, text: string): Promise<void> {
  await page.getByRole('searchbox', { name: 'Id begins with' }).fill(text)
  await page.getByRole('button', { name: 'Search' }).click()
}

describe('the page', () => {
  test('shows the health of the cache at a glance', async () => {
    const page = await openPage()
    const tile = (name: string) =>
      page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) })
    await tile('API').getByText('Ready').waitFor()
    await tile('Redis').getByText('Connected').waitFor()
    await tile('Workers').getByText('1 of 1 ready').waitFor()
    await tile('Cache').getByText('Complete').waitFor()
    await tile('Cache').getByText('61 devices').waitFor()
    await tile('Lag').getByText('17 records').waitFor()
    await tile('Live changes').getByText('Following').waitFor()
    await page.getByRole('img', { name: 'Records, per second: 1,234.5 now' }).waitFor()
    await page.getByRole('img', { name: 'Lag, records behind: 17 now' }).waitFor()
    await page.getByRole('img', { name: 'Dead letters, per minute: 12 now' }).waitFor()
  })

  test('shows why a worker is not ready, and that the cache is rebuilding', async () => {
    onTestFinished(() => platform.report({}))
    await platform.report({ ready: false, reasons: ['holding: Redis is full'], rebuilding: true })
    const page = await openPage()
    await page.getByText('0 of 1 ready').waitFor()
    await page.getByText('holding: Redis is full').waitFor()
    await page.getByText('Rebuilding', { exact: true }).waitFor()
  })

  test('shows the latest dead letters with their reasons and coordinates', async () => {
    const page = await openPage()
    const row = page.getByRole('table', { name: 'Records that could not be applied' }).getByRole('row').nth(1)
    await row.getByText('bad_timestamp').waitFor()
    await row.getByText('iot_validated_data, 3, 4711').waitFor()
  })

  test('shows the key-values', async () => {
    const page = await openPage()
    await page.getByText('prices', { exact: true }).click()
    await page.getByText('"gas": 12').waitFor()
  })
})

describe('the devices', () => {
  test('can be searched by id prefix', async () => {
    const page = await openPage()
    await search(page, 'odd:')
    // Redis decides which of the 30 come first, and whether a page is short.
    await eventually(async () => {
      const ids = await idsIn(page)
      expect(ids.length).toBeGreaterThan(0)
      expect(ids.length).toBeLessThanOrEqual(25)
      expect(ids.filter((id) => !id.startsWith('odd:'))).toEqual([])
    })
    await search(page, 'absent')
    await page.getByText('No device has an id that begins with “absent”.').waitFor()
  })

  test('can be paged forward and back, each shown once', async () => {
    const page = await openPage()
    const seen: string[] = []
    const pages: string[][] = []
    for (let number = 1; ; number++) {
      await page.getByText(`Page ${number}`, { exact: true }).waitFor()
      await eventually(async () => {
        const ids = await idsIn(page)
        expect(ids.length).toBeGreaterThan(0)
        expect(ids).not.toEqual(pages.at(-1))
      })
      await page.getByText('Loading…').waitFor({ state: 'detached' })
      pages.push(await idsIn(page))
      seen.push(...(pages.at(-1) ?? []))
      if (await page.getByRole('button', { name: 'Next' }).isDisabled()) break
      await page.getByRole('button', { name: 'Next' }).click()
    }
    expect(pages.length).toBeGreaterThanOrEqual(3)
    expect(seen.toSorted()).toEqual([...new Set(seen)].toSorted())
    expect(seen).toHaveLength(61)
    await page.getByRole('button', { name: 'Previous' }).click()
    await eventually(async () => expect(await idsIn(page)).toEqual(pages.at(-2)))
  })

  test('show their age and remaining lifetime, both kept current', async () => {
    await platform.storeDevice('age:1', { last_updated: pythonTime(Date.now() - 5_000) }, 1800)
    onTestFinished(async () => void (await platform.client.srem('devices', 'age:1')))
    const page = await openPage()
    await search(page, 'age:')
    const row = rowOf(page, 'age:1')
    await row.getByText(/^\d s ago$/).waitFor()
    expect(await row.innerText()).toMatch(/(29|30) min/)
    await row.getByText(/^1\d s ago$/).waitFor()
  })

  test('are shown as plain text, even with hostile names', async () => {
    const page = await openPage()
    await search(page, 'zz')
    await rowOf(page, HOSTILE_ID).waitFor()
    await page.getByRole('button', { name: HOSTILE_ID }).click()
    await page.getByRole('dialog').getByText('"datatype_name": "<script>').waitFor()
    expect(await page.title()).toBe('Device cache')
  })

  test('are shown in detail, with types and a raw hash to copy', async () => {
    const page = await openPage('/', { permissions: ['clipboard-read', 'clipboard-write'] })
    await search(page, 'even:000')
    await page.getByRole('button', { name: 'even:000' }).click()
    const dialog = page.getByRole('dialog', { name: 'even:000' })
    await dialog.getByRole('row', { name: 'datatype_unit V, A list of 2' }).waitFor()
    await dialog.getByRole('row', { name: 'persist true boolean' }).waitFor()
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await dialog.getByText('Copied').waitFor()
    const copied: unknown = JSON.parse(await page.evaluate<string>('navigator.clipboard.readText()'))
    expect(copied).toEqual(await platform.client.hgetall('device:even:000:metadata'))
    await page.reload()
    await page.getByRole('dialog', { name: 'even:000' }).waitFor()
  })

  test('that are corrupt are reported beside the others', async () => {
    await platform.client.set('device:bad:1:metadata', 'no hash')
    await platform.client.sadd('devices', 'bad:1')
    await platform.storeDevice('bad:2', {})
    onTestFinished(async () => void (await platform.client.srem('devices', 'bad:1', 'bad:2')))
    const page = await openPage()
    await search(page, 'bad:')
    await rowOf(page, 'bad:2').waitFor()
    await page.getByText('bad:1: The key does not hold a hash.').waitFor()
  })

  test('that are corrupt show their raw hash', async () => {
    await platform.client.hset('device:bad:3:metadata', { persist: '{', datatype_name: 'Door' })
    onTestFinished(async () => void (await platform.client.del('device:bad:3:metadata')))
    const page = await openPage('/#device=bad%3A3', { mayComplain: true })
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The field persist is not valid JSON.').waitFor()
    await dialog.getByText('"persist": "{"').waitFor()
  })

  test('that are not in the cache are reported as missing', async () => {
    const page = await openPage('/#device=absent%2F1', { mayComplain: true })
    await page.getByRole('dialog').getByText('This device is not in the cache').waitFor()
  })
})

describe('a live change', () => {
  test('is highlighted in the table and announced to screen readers', async () => {
    await platform.storeDevice('live:1', {
      datatype_name: 'before',
      last_updated: pythonTime(Date.now() - 60_000),
    })
    const page = await openPage()
    await search(page, 'live:')
    await rowOf(page, 'live:1').getByText('before').waitFor()
    await page.getByText('Following').waitFor()
    await platform.storeDevice('live:1', { datatype_name: 'after', last_updated: pythonTime(Date.now()) })
    await platform.hints.hint('changed', ['live:1', 'another'], 0)
    await rowOf(page, 'live:1').getByText('after').waitFor()
    await rowOf(page, 'live:1').getByText('changed', { exact: true }).waitFor()
    await page.getByRole('status').getByText('live:1 changed').waitFor()
    await page.getByRole('list', { name: 'Latest changes' }).getByText('another').waitFor()
    await rowOf(page, 'live:1').getByText('changed', { exact: true }).waitFor({ state: 'detached' })
    await platform.hints.hint('deleted', ['live:1'], 0)
    await rowOf(page, 'live:1').getByText('deleted', { exact: true }).waitFor()
  })

  test('is shown even if its hint does not name the device', async () => {
    await platform.storeDevice('busy:1', {
      datatype_name: 'before',
      last_updated: pythonTime(Date.now() - 60_000),
    })
    const page = await openPage()
    await search(page, 'busy:')
    await rowOf(page, 'busy:1').getByText('before').waitFor()
    await page.getByText('Following').waitFor()
    await platform.storeDevice('busy:1', { datatype_name: 'after', last_updated: pythonTime(Date.now()) })
    await platform.hints.hint('changed', ['another'], 5)
    await rowOf(page, 'busy:1').getByText('after').waitFor()
    await rowOf(page, 'busy:1').getByText('changed', { exact: true }).waitFor()
  })

  test('is shown after a gap in the events', async () => {
    await platform.storeDevice('live:9', {
      datatype_name: 'before',
      last_updated: pythonTime(Date.now() - 60_000),
    })
    const page = await openPage()
    await search(page, 'live:9')
    await rowOf(page, 'live:9').getByText('before').waitFor()
    await page.getByText('Following').waitFor()
    await platform.storeDevice('live:9', { datatype_name: 'after', last_updated: pythonTime(Date.now()) })
    await platform.hints.gap('missed')
    await rowOf(page, 'live:9').getByText('after').waitFor()
  })

  test('is shown in the open device dialog', async () => {
    await platform.storeDevice('open:1', { datatype_name: 'before' })
    const page = await openPage('/#device=open%3A1')
    const dialog = page.getByRole('dialog', { name: 'open:1' })
    await dialog.getByRole('row', { name: 'datatype_name before' }).waitFor()
    await page.getByText('Following').waitFor()
    await platform.storeDevice('open:1', { datatype_name: 'after' })
    await platform.hints.hint('changed', ['open:1'], 0)
    await dialog.getByRole('row', { name: 'datatype_name after' }).waitFor()
    await dialog.getByText('changed', { exact: true }).waitFor()
  })
})

describe('the keyboard', () => {
  test('skips to the content, opens a device, and returns the focus to it', async () => {
    const page = await openPage()
    await rowOf(page, 'e').first().waitFor()
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    await page.getByRole('searchbox').focus()
    await page.keyboard.type('even:002')
    await page.keyboard.press('Enter')
    await eventually(async () => expect(await idsIn(page)).toEqual(['even:002']))
    for (let presses = 0; (await focused(page)) !== 'even:002'; presses++) {
      expect(presses).toBeLessThan(12)
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'even:002' }).waitFor()
    expect(await page.evaluate("document.querySelector('dialog').contains(document.activeElement)")).toBe(
      true,
    )
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await focused(page)).toBe('even:002')
  })
})

describe('the theme', () => {
  test('follows the system until another is chosen, which then persists', async () => {
    const page = await openPage('/', { colorScheme: 'dark' })
    const toggle = page.getByRole('button', { name: 'Dark theme' })
    const ground = async () => await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    expect(await toggle.getAttribute('aria-pressed')).toBe('true')
    const dark = await ground()
    await toggle.click()
    expect(await toggle.getAttribute('aria-pressed')).toBe('false')
    const light = await ground()
    expect(light).not.toBe(dark)
    await page.reload()
    expect(await ground()).toBe(light)
    expect(await toggle.getAttribute('aria-pressed')).toBe('false')
  })
})

test.for([
  ['a phone', 360],
  ['a large screen', 1600],
] as const)('the page fits the width of %s', async ([, width]) => {
  const page = await openPage('/', { viewport: { width, height: 740 } })
  await rowOf(page, 'e').first().waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
  await page
    .getByRole('table', { name: /^Devices/ })
    .getByRole('button')
    .first()
    .click()
  await page.getByRole('dialog').getByText('Raw hash').waitFor()
  expect(
    await page.evaluate(
      "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('dialog'))",
    ),
  ).toBe(0)
})

describe('a service that requires tokens', () => {
  test('prompts for a token, which is kept for the tab until it is forgotten', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tokens-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const tokens = join(folder, 'tokens.json')
    const sha256 = createHash('sha256').update('right-token').digest('hex')
    await writeFile(tokens, JSON.stringify([{ name: 'reader', sha256, scopes: ['read'] }]))
    const guarded = await startApi(platform.redis, {
      env: { API_AUTH: 'token', API_TOKENS_FILE: tokens },
    })
    onTestFinished(() => guarded.stop())

    const page = await openPage('/', { url: guarded.url, mayComplain: true })
    const dialog = page.getByRole('dialog', { name: 'Token required' })
    await dialog.getByLabel('Token').fill('wrong-token')
    await page.keyboard.press('Enter')
    await dialog.getByText('rejected this token').waitFor()
    await dialog.getByLabel('Token').fill('right-token')
    await dialog.getByRole('button', { name: 'Use this token' }).click()
    await rowOf(page, 'e').first().waitFor()
    await page.getByText('Following').waitFor()
    await page.reload()
    await rowOf(page, 'e').first().waitFor()
    expect(await dialog.isVisible()).toBe(false)
    expect(page.url()).not.toContain('token')
    await page.getByRole('button', { name: 'Forget token' }).click()
    await dialog.waitFor()
  })
})

test('the page shows that the service has stopped, and resumes by itself when it is back', async () => {
  const first = await startApi(platform.redis)
  const page = await openPage('/', { url: first.url, mayComplain: true })
  await page.getByText('Following').waitFor()
  await first.stop()
  await page.getByText('Not responding', { exact: true }).waitFor()
  await page.getByText('Connection lost').waitFor()
  const second = await startApi(platform.redis, { at: first.url })
  onTestFinished(() => second.stop())
  await page.getByText('Following').waitFor()
  await page.getByText('Not responding', { exact: true }).waitFor({ state: 'detached' })
  await platform.storeDevice('even:000', { datatype_name: 'new', last_updated: pythonTime(Date.now()) })
  await search(page, 'even:000')
  await rowOf(page, 'even:000').getByText('new').waitFor()
})

test('the files of the page are revalidated by ETag', async () => {
  const page = await fetch(`${api.url}/`)
  const etag = page.headers.get('etag') ?? ''
  expect(page.headers.get('cache-control')).toBe('no-cache')
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self';")
  const again = await fetch(`${api.url}/`, { headers: { 'if-none-match': etag } })
  expect(again.status).toBe(304)
})

async function focused(page: Page): Promise<string> {
  return await page.evaluate<string>("document.activeElement?.innerText ?? ''")
}

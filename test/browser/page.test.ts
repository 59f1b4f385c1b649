import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { openChromium } from '../support/servers/chromium.ts'
import {
  banner,
  focused,
  following,
  idsIn,
  linkTo,
  openPage as openPageOf,
  rowOf,
  search,
  tile,
  type OpenPageOptions,
} from './open-page.ts'
import { pythonTime, startApi, startPlatform, type Platform, type RunningApi } from './platform.ts'

let platform: Platform
let api: RunningApi
let browser: Browser

beforeAll(async () => {
  ;[platform, browser] = await Promise.all([startPlatform(), openChromium()])
  api = await startApi(platform.redis)
})

afterAll(async () => {
  await browser.close()
  await api.stop()
  await platform.stop()
})

const openPage = (fragment = '', options: OpenPageOptions = {}) =>
  openPageOf(browser, api.url, fragment, options)
const heading = (page: Page) => page.getByRole('heading', { level: 1 })
const ago = (seconds: number) => pythonTime(Date.now() - seconds * 1_000)

describe('the overview', () => {
  test('shows the health of the platform at a glance', async () => {
    const page = await openPage()
    await tile(page, 'API').getByText('Ready').waitFor()
    await tile(page, 'Redis').getByText('Connected').waitFor()
    await tile(page, 'Redis').getByText('MiB').waitFor()
    await tile(page, 'Workers').getByText('1 of 1 ready').waitFor()
    await tile(page, 'Cache').getByText('Complete').waitFor()
    await tile(page, 'Cache').getByText('61 devices').waitFor()
    await tile(page, 'Lag').getByText('17 records').waitFor()
    await tile(page, 'Dead letters').getByText('15', { exact: true }).waitFor()
    await tile(page, 'Live changes').getByText('Following').waitFor()
    expect(await banner(page).count()).toBe(0)
    await tile(page, 'Lag').getByRole('link').click()
    await page.getByRole('heading', { name: 'Lag by partition' }).waitFor()
  })

  test('draws the last 15 minutes of the workers from the start', async () => {
    const page = await openPage()
    const chart = (name: RegExp) => page.getByRole('img', { name }).waitFor()
    await chart(/^Records, per second: 1,234.5 now, between 1,00\d and 1,234.5 in the last 15 minutes$/)
    await chart(/^Lag, records behind: 17 now, between \d and 5\d in the last 15 minutes$/)
    await chart(/^Dead letters, per minute: 12 now, between 0 and 12 in the last 15 minutes$/)
  })

  test('and a banner say what is wrong, since when, and where to look', async () => {
    onTestFinished(() => platform.report({}))
    const page = await openPage()
    await tile(page, 'Workers').getByText('1 of 1 ready').waitFor()
    await platform.report({
      ready: false,
      reasons: ['holding: Redis is full'],
      rebuilding: true,
      unread: [{ partition: 7, records: 12, reason: 'no_owner', owner: null }],
    })
    await banner(page)
      .getByText(/1 partition is not being read\.\s+Since \d+:\d\d:\d\d/)
      .waitFor()
    await banner(page).getByRole('link', { name: '2 more problems' }).waitFor()
    const problems = page.getByRole('list', { name: 'Problems' })
    await problems.getByText('holding: Redis is full').waitFor()
    await problems.getByText('The cache is being rebuilt').waitFor()
    await tile(page, 'Cache').getByText('Rebuilding', { exact: true }).waitFor()
    await banner(page).getByRole('link', { name: 'Details' }).click()
    const row = page
      .getByRole('table', { name: 'Lag by partition' })
      .getByRole('row', { name: 'No worker owns it' })
    await row.getByText('12', { exact: true }).waitFor()
    await page.getByRole('table', { name: 'Workers' }).getByText('consuming, not ready').waitFor()
  })
})

describe('the view', () => {
  test('of the workers shows the lag of each partition, its worker, and since when', async () => {
    onTestFinished(() => platform.report({}))
    await platform.report({
      lag: [
        { partition: 0, records: 17, seconds: 0.2 },
        { partition: 1, records: 0, seconds: 0 },
        { partition: 2, records: 9_000, seconds: 3_600 },
      ],
    })
    const page = await openPage('#workers')
    const table = page.getByRole('table', { name: 'Lag by partition' })
    await table.getByRole('row', { name: /^2 9,000 \d+:\d\d:\d\d 1 h ago worker-1$/ }).waitFor()
    const partitions = () => table.getByRole('rowheader').allInnerTexts()
    expect(await partitions()).toEqual(['2', '0', '1'])
    await table.getByRole('button', { name: 'Partition' }).click()
    await eventually(async () => expect(await partitions()).toEqual(['0', '1', '2']))
    const workers = page.getByRole('table', { name: 'Workers' })
    await workers.getByText('iot_validated_data, group cache_service_group').waitFor()
    await workers.getByRole('cell', { name: /^(now|\d s ago)$/ }).waitFor()
  })

  test('of the workers keeps the last report of one that no longer reports', async () => {
    onTestFinished(() => platform.report({}))
    const page = await openPage('#workers')
    await page.getByText('consuming').waitFor()
    await platform.stopReporting()
    await page.getByText('No longer reports').waitFor()
    await banner(page).getByText('No worker reports.').waitFor()
  })

  test('of the dead letters counts them by reason, and has the commands to examine and to replay them', async () => {
    const page = await openPage('#dead-letters', { permissions: ['clipboard-read', 'clipboard-write'] })
    const reasons = page.getByRole('table', { name: 'Dead letters by reason' })
    await reasons.getByRole('row', { name: 'not_json 14' }).waitFor()
    await reasons.getByRole('button', { name: 'errors replay --reason bad_timestamp --dry-run' }).waitFor()
    onTestFinished(() => platform.report({}))
    const latest = page.getByRole('list', { name: 'The latest' })
    await latest.getByText('timestamp: <img src=x onerror="document.title=3">').click()
    await latest.getByText('iot_validated_data, partition 3, offset 4711').waitFor()
    await latest.getByText('cache-cli explain --partition 3 --offset 4711').waitFor()
    const copy = latest.getByRole('button', {
      name: 'Copy cache-cli errors replay --source 3:4711',
      exact: true,
    })
    await copy.click()
    await copy.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
      'cache-cli errors replay --source 3:4711',
    )
    const newer = { at: new Date().toISOString(), reason: 'bad_key', topic: 't', partition: 0, offset: '1' }
    await platform.report({ dead_letters: [newer] })
    await page.getByText('1 newer dead letter').waitFor()
    await latest.getByText('timestamp: <img').click()
    await latest.getByText('bad_key').waitFor()
  })

  test('of Redis shows memory, policy, hit rate and persistence, and what is dangerous', async () => {
    await platform.client.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru')
    onTestFinished(async () => {
      await platform.client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction')
    })
    const page = await openPage('#redis')
    const memory = page.getByRole('region', { name: 'Memory' })
    await memory.getByText('1 GiB', { exact: true }).waitFor()
    await memory.getByText('allkeys-lru').waitFor()
    await memory.getByText('Redis may silently delete devices').waitFor()
    await page
      .getByRole('region', { name: 'Server' })
      .getByText(/(Redis|Valkey) \d+\.\d/)
      .waitFor()
    await page.getByRole('region', { name: 'Lookups' }).getByText(/\d %/).first().waitFor()
    await page.getByRole('region', { name: 'Persistence' }).getByText('Append-only file').waitFor()
  })

  test('of the state shows values with all their digits, and follows updates without asking for the state again', async () => {
    await platform.publish('limits', '{"serial":9007199254740993}')
    const page = await openPage('#state')
    const requests: string[] = []
    page.on('request', (request) => requests.push(new URL(request.url()).pathname))
    await following(page)
    await page.getByText('limits', { exact: true }).click()
    await page.getByText('"serial": 9007199254740993').waitFor()
    for (let i = 0; i < 20; i++) await platform.publish('limits', `{"serial":18446744073709551615,"i":${i}}`)
    await page.getByText('"i": 19').waitFor()
    await page.getByText('"serial": 18446744073709551615').waitFor()
    await page
      .getByRole('listitem')
      .filter({ hasText: 'limits' })
      .getByText('changed', { exact: true })
      .waitFor()
    await platform.publish('large', `{"text":"${'x'.repeat(70_000)}","end":1.0}`)
    await page.getByText('large', { exact: true }).click()
    await page.getByText('"end": 1.0').waitFor()
    expect(requests.filter((path) => path.startsWith('/api/state'))).toEqual(['/api/state/large'])
  })

  test('of the state remains usable with thousands of types', async () => {
    const types = Array.from({ length: 3_000 }, (_, i) => `many:${String(i).padStart(4, '0')}`)
    await platform.client.mset(
      types.flatMap((type) => [type, `{"updated":null,"valid":true,"values":["${type}"]}`]),
    )
    await platform.client.sadd('cache_service:update_types', ...types)
    onTestFinished(async () => void (await platform.client.srem('cache_service:update_types', ...types)))
    const page = await openPage('#state')
    await page.getByText('The first 100 are shown').waitFor()
    await page.getByRole('searchbox', { name: 'Type contains' }).fill('many:2999')
    await page.getByText('many:2999', { exact: true }).click()
    await page.getByLabel('Value of many:2999').getByText('"many:2999"').waitFor()
    expect(await page.getByRole('list', { name: 'Key-values' }).getByRole('listitem').count()).toBe(1)
  })

  test('of the changes lists them as they happen, can be paused, and links to the devices', async () => {
    const page = await openPage('#changes')
    await page.getByText('No changes since this page was opened').waitFor()
    await following(page)
    await platform.hints.hint('changed', ['even:002', 'a <b>&'], 3)
    await platform.publish('prices', '{"gas":13}')
    const table = page.getByRole('table', { name: 'Changes, newest first' })
    await table.getByRole('link', { name: 'a <b>&' }).waitFor()
    await table.getByText('3 further devices').waitFor()
    await table.getByRole('link', { name: 'prices' }).waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    await platform.hints.hint('deleted', ['even:004'], 0)
    await page.getByText('Paused: 1 newer change').waitFor()
    expect(await table.getByText('even:004').count()).toBe(0)
    await page.getByRole('button', { name: 'Paused' }).click()
    await table.getByRole('row', { name: 'deleted even:004' }).waitFor()
    await page.getByRole('searchbox', { name: 'Id contains' }).fill('even:002')
    await table.getByText('a <b>&').waitFor({ state: 'detached' })
    await table.getByRole('link', { name: 'even:002' }).click()
    await page.getByRole('heading', { level: 1, name: 'even:002' }).waitFor()
  })
})

describe('the devices', () => {
  test('show their age and remaining lifetime, both kept current', async () => {
    await platform.storeDevice('age:1', { last_updated: ago(5) }, 1800)
    onTestFinished(async () => void (await platform.client.srem('devices', 'age:1')))
    const page = await openPage('#devices')
    await search(page, 'age:')
    const row = rowOf(page, 'age:1')
    await row.getByText(/\d s ago/).waitFor()
    const before = await row.innerText()
    expect(before).toMatch(/(2\d|30) min/)
    await eventually(async () => expect(await row.innerText()).not.toBe(before))
  })
})

describe('a device', () => {
  test('has a page with types, a raw hash to copy, commands, and a way back', async () => {
    const page = await openPage('#devices', { permissions: ['clipboard-read', 'clipboard-write'] })
    await search(page, 'even:000')
    await linkTo(page, 'even:000').click()
    await page.getByRole('heading', { level: 1, name: 'even:000' }).waitFor()
    await page.getByRole('row', { name: 'datatype_unit V, A list of 2' }).waitFor()
    await page.getByRole('row', { name: 'persist true boolean' }).waitFor()
    await page.getByText('cache-cli get even:000').waitFor()
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await page.getByRole('button', { name: 'Copied', exact: true }).waitFor()
    const copied: unknown = JSON.parse(await page.evaluate<string>('navigator.clipboard.readText()'))
    expect(copied).toEqual(await platform.client.hgetall('device:even:000:metadata'))
    await page.reload()
    await page.getByRole('row', { name: 'persist true boolean' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    await page.goForward()
    await page.getByRole('heading', { level: 1, name: 'even:000' }).waitFor()
    await page.getByRole('button', { name: 'Back' }).click()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
  })

  test('shows what has changed while its page was open, and can be deleted', async () => {
    await platform.storeDevice('open:1', { datatype_name: 'before' })
    const page = await openPage('#device=open%3A1')
    await page.getByRole('row', { name: 'datatype_name before' }).waitFor()
    await following(page)
    await platform.storeDevice('open:1', { datatype_name: 'after' })
    await platform.hints.hint('changed', ['open:1'], 0)
    await page.getByRole('row', { name: 'datatype_name after' }).waitFor()
    await page.getByText('changed', { exact: true }).waitFor()
    const history = page.getByRole('list', { name: 'While this page was open' })
    await history.getByText('datatype_name: before → after').waitFor()

    await page.getByRole('button', { name: 'Delete this device…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete this device?' })
    await dialog.getByText('open:1').waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    expect(await platform.client.exists('device:open:1:metadata')).toBe(1)
    await page.getByRole('button', { name: 'Delete this device…' }).click()
    await dialog.getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByText('This device is not in the cache').waitFor()
    await history.getByText('was deleted or has expired').waitFor()
    expect(await platform.client.exists('device:open:1:metadata')).toBe(0)

    await platform.storeDevice('open:1', { datatype_name: 'again' })
    await platform.hints.hint('changed', ['open:1'], 0)
    await history.getByText('is in the cache again').waitFor()
    await page.getByRole('row', { name: 'datatype_name again' }).waitFor()
  })

  test('is highlighted in the table when it changes, and announced to screen readers', async () => {
    await platform.storeDevice('live:1', { datatype_name: 'before', last_updated: ago(60) })
    const page = await openPage('#devices')
    await search(page, 'live:')
    await rowOf(page, 'live:1').getByText('before').waitFor()
    await following(page)
    await platform.storeDevice('live:1', { datatype_name: 'after', last_updated: ago(0) })
    await platform.hints.hint('changed', ['live:1', 'another'], 0)
    await rowOf(page, 'live:1').getByText('after').waitFor()
    await rowOf(page, 'live:1').getByText('changed', { exact: true }).waitFor()
    await page.getByRole('status').getByText('live:1 changed').waitFor()
    await page.getByRole('list', { name: 'Latest changes' }).getByText('another').waitFor()
    await rowOf(page, 'live:1').getByText('changed', { exact: true }).waitFor({ state: 'detached' })
    await platform.hints.hint('deleted', ['live:1'], 0)
    await rowOf(page, 'live:1').getByText('deleted', { exact: true }).waitFor()
  })

  test('is loaded again if a hint does not name it, and after a gap in the events', async () => {
    await platform.storeDevice('busy:1', { datatype_name: 'first', last_updated: ago(60) })
    const page = await openPage('#devices')
    await search(page, 'busy:')
    await rowOf(page, 'busy:1').getByText('first').waitFor()
    await following(page)
    await platform.storeDevice('busy:1', { datatype_name: 'second', last_updated: ago(30) })
    await platform.hints.hint('changed', ['another'], 5)
    await rowOf(page, 'busy:1').getByText('second').waitFor()
    await platform.storeDevice('busy:1', { datatype_name: 'third', last_updated: ago(0) })
    await platform.hints.gap('missed')
    await rowOf(page, 'busy:1').getByText('third').waitFor()
  })
})

describe('the keyboard', () => {
  test('skips to the content, opens a device, and finds the focus on its heading', async () => {
    const page = await openPage('#devices')
    await rowOf(page, 'e').first().waitFor()
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    expect(new URL(page.url()).hash).toBe('#devices')
    await page.getByRole('searchbox').focus()
    await page.keyboard.type('even:002')
    await page.keyboard.press('Enter')
    await eventually(async () => expect(await idsIn(page)).toEqual(['even:002']))
    for (let presses = 0; (await focused(page)) !== 'even:002'; presses++) {
      expect(presses).toBeLessThan(12)
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.getByRole('row', { name: 'persist true boolean' }).waitFor()
    expect(await focused(page)).toBe('even:002')
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
  })
})

describe('the theme', () => {
  test('follows the system until another is chosen, which then persists', async () => {
    const page = await openPage('', { colorScheme: 'dark' })
    const toggle = page.getByRole('button', { name: 'Dark theme' })
    const ground = async () => await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    const pressed = async (value: string) =>
      await eventually(async () => expect(await toggle.getAttribute('aria-pressed')).toBe(value))
    await pressed('true')
    const dark = await ground()
    await page.emulateMedia({ colorScheme: 'light' })
    await pressed('false')
    const light = await ground()
    expect(light).not.toBe(dark)
    await page.emulateMedia({ colorScheme: 'dark' })
    await pressed('true')
    await toggle.click()
    await pressed('false')
    expect(await ground()).toBe(light)
    await page.reload()
    expect(await ground()).toBe(light)
    await pressed('false')
  })
})

test.for([
  ['a phone', 360],
  ['a tablet', 820],
  ['a large screen', 1600],
] as const)('every view fits the width of %s', async ([, width]) => {
  await platform.storeDevice('w'.repeat(256), {
    datatype_name: 'wide '.repeat(50),
    ['f'.repeat(300)]: 'v'.repeat(300),
  })
  const page = await openPage('', { viewport: { width, height: 740 } })
  for (const fragment of ['overview', 'devices', 'changes', 'workers', 'dead-letters', 'redis', 'state']) {
    await page.evaluate(`location.hash = ${JSON.stringify(fragment)}`)
    await heading(page).waitFor()
    await page.getByText('Loading…').waitFor({ state: 'detached' })
    expect([fragment, await page.evaluate('document.documentElement.scrollWidth')]).toEqual([fragment, width])
  }
  await page.evaluate(`location.hash = 'device=' + 'w'.repeat(256)`)
  await page.getByLabel('Raw hash').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
})

test('the files of the page are revalidated by ETag', async () => {
  const page = await fetch(`${api.url}/`)
  const etag = page.headers.get('etag') ?? ''
  expect(page.headers.get('cache-control')).toBe('no-cache')
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self';")
  const again = await fetch(`${api.url}/`, { headers: { 'if-none-match': etag } })
  expect(again.status).toBe(304)
})

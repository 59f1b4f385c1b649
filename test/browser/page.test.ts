import { describe, expect, onTestFinished, test } from 'vitest'
import { banner, focused, idsIn, rowOf, tile } from '../support/browser/open-page.ts'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'

const { platform, api, openPage } = await usePlatform()

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
    await banner(page).waitFor({ state: 'detached' })
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
    await page.getByRole('heading', { level: 1 }).waitFor()
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

import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { deviceTable, following, holdAnswer, idsIn, rowOf, search } from '../support/browser/open-page.ts'
import { pythonTime } from '../support/browser/platform.ts'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'

const EVEN = Array.from({ length: 30 }, (_, n) => `even:${String(2 * n).padStart(3, '0')}`)

const { platform, openPage } = await usePlatform()

beforeEach(async () => {
  await platform.storeDevice('hall-1', {
    datatype_name: 'Pressure',
    datatype_unit: '["hPa","bar"]',
    last_updated: pythonTime(Date.now() - 30 * 86_400_000),
    'room, floor': '<b>7</b>, 2',
  })
})

const fragmentOf = (page: Page) => decodeURIComponent(new URL(page.url()).hash)
const found = (page: Page, text: string) => page.locator('#main').getByText(text, { exact: true }).waitFor()
const showsIds = (page: Page, ids: readonly string[]) =>
  eventually(async () => expect(await idsIn(page)).toEqual(ids))

describe('the devices', () => {
  test('are counted, and paged forward, back and to the first page, each shown once', async () => {
    const page = await openPage('#devices')
    await found(page, '1–25 of 62 devices')
    const first = await idsIn(page)
    await page.getByRole('button', { name: 'Next' }).click()
    await found(page, '26–50 of 62 devices')
    const second = await idsIn(page)
    await page.getByRole('button', { name: 'Next' }).click()
    await found(page, '51–62 of 62 devices')
    const third = await idsIn(page)
    expect(new Set([...first, ...second, ...third]).size).toBe(62)
    expect(await page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Previous' }).click()
    await showsIds(page, second)
    // The address and the history of the browser keep the place.
    await page.reload()
    await showsIds(page, second)
    await page.goBack()
    await showsIds(page, third)
    await page.getByRole('button', { name: 'First' }).click()
    await showsIds(page, first)
  })

  test('are found by a part of the id, type, unit and silence, and a link leads to the same search', async () => {
    const page = await openPage('#devices')
    await search(page, 'VEN:')
    await found(page, '1–25 of 30 devices')
    await showsIds(page, EVEN.slice(0, 25))
    await search(page, '')
    await page.getByRole('combobox', { name: 'Unit' }).fill('bar')
    await page.getByRole('combobox', { name: 'Type' }).fill('Pressure')
    await page.getByRole('combobox', { name: 'Silent for' }).selectOption('7 days or longer')
    await showsIds(page, ['hall-1'])
    expect(fragmentOf(page)).toBe('#devices?type=Pressure&unit=bar&silent_for=604800')
    const other = await openPage(new URL(page.url()).hash)
    await showsIds(other, ['hall-1'])
    expect(await other.getByRole('combobox', { name: 'Silent for' }).inputValue()).toBe('604800')
    await search(other, 'absent')
    await found(other, 'No device matches.')
    await other.getByRole('button', { name: 'Show all devices' }).click()
    await found(other, '1–25 of 62 devices')
  })

  test('are sorted over all pages by a click on the header, and a further click reverses the order', async () => {
    const page = await openPage('#devices?contains=even')
    const header = (name: string) => deviceTable(page).getByRole('columnheader', { name })
    await showsIds(page, EVEN.slice(0, 25))
    expect(await header('Device').getAttribute('aria-sort')).toBe('ascending')
    await header('Device').getByRole('button').click()
    await showsIds(page, EVEN.toReversed().slice(0, 25))
    // The smallest number has reported last.
    await header('Updated').getByRole('button').click()
    await showsIds(page, EVEN.slice(0, 25))
    expect(await header('Updated').getAttribute('aria-sort')).toBe('descending')
    expect(fragmentOf(page)).toBe('#devices?contains=even&sort=-last_updated')
    await page.goBack()
    await showsIds(page, EVEN.toReversed().slice(0, 25))
  })

  test('show extra fields as columns, which the export has as well', async () => {
    const page = await openPage('#devices?contains=hall')
    await page.getByText('Columns', { exact: true }).click()
    await page.getByRole('checkbox', { name: 'room, floor' }).check()
    await deviceTable(page).getByRole('cell', { name: '<b>7</b>, 2' }).waitFor()
    expect(fragmentOf(page)).toBe('#devices?contains=hall&column=room,+floor')
    const downloading = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export CSV' }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe('devices.csv')
    const [header, row, ...more] = (await readFile(await download.path(), 'utf8')).split('\n')
    expect(header).toBe(
      'device_id,datatype_name,datatype_id,datatype_unit,persist,last_updated,ttl,"extra.room, floor"',
    )
    expect(row).toMatch(/^hall-1,Pressure,.*,"<b>7<\/b>, 2"$/)
    expect(more).toEqual([''])
  })

  test('survive garbage in the address', async () => {
    const page = await openPage('#devices?sort=ttl&limit=x&silent_for=-1&contains=100%&column=')
    await found(page, 'No device matches.')
    const other = await openPage('#devices?cursor=garbage', { mayComplain: true })
    await other.getByText('Invalid cursor').first().waitFor()
    await other.getByRole('button', { name: 'Go to the first page' }).click()
    await found(other, '1–25 of 62 devices')
  })

  test('are not searched for again by themselves if the API refused the search', async () => {
    const page = await openPage('#devices', { mayComplain: true, clockAheadMs: 1 })
    await found(page, '1–25 of 62 devices')
    const paths: string[] = []
    page.on('response', (response) => paths.push(new URL(response.url()).pathname))
    const count = (path: string) => paths.filter((one) => one === path).length
    await page.evaluate("location.hash = 'devices?cursor=garbage'")
    await page.getByText('Invalid cursor').first().waitFor()
    for (let polls = 1; polls <= 3; polls++) {
      await page.clock.runFor(6_000)
      await eventually(() => expect(count('/readyz')).toBeGreaterThanOrEqual(polls))
    }
    expect(count('/api/search/devices')).toBe(1)
  })

  test('stay as they are if their export fails, which is said as such', async () => {
    const page = await openPage('#devices?contains=even:00', { mayComplain: true })
    await showsIds(page, EVEN.slice(0, 5))
    const failed = page.getByRole('alert').getByText(/The devices could not be exported\..*not ready/)
    const exportIt = page.getByRole('button', { name: 'Export CSV' })
    const body = JSON.stringify({ type: 'unavailable', title: 'The cache is not ready', status: 503 })
    await page.route('**/api/search/devices**', (route) => route.fulfill({ status: 503, body }))
    await exportIt.click()
    await failed.waitFor()
    // With a token, the page downloads the file by itself.
    await page.evaluate("sessionStorage.setItem('api-token', 'a token')")
    await page.unroute('**/api/search/devices**')
    await page.reload()
    await showsIds(page, EVEN.slice(0, 5))
    await page.route('**/api/search/devices/export**', (route) => route.fulfill({ status: 503, body }))
    await exportIt.click()
    await failed.waitFor()
    expect(await page.getByText('could not be loaded').count()).toBe(0)
    await showsIds(page, EVEN.slice(0, 5))
    await page.unroute('**/api/search/devices/export**')
    const downloading = page.waitForEvent('download')
    await exportIt.click()
    expect(await readFile(await (await downloading).path(), 'utf8')).toMatch(/^device_id,.*\neven:000,/)
    await failed.waitFor({ state: 'detached' })
  })

  test('keep what was read last, although an older answer arrives after it', async () => {
    await platform.storeDevice('order:1', { datatype_name: 'first', last_updated: pythonTime(1) })
    const page = await openPage('#devices?contains=order:')
    await following(page)
    const row = rowOf(page, 'order:1')
    await row.getByText('first').waitFor()
    const older = await holdAnswer(page, '**/api/search/devices?*')
    await page.getByRole('button', { name: 'Refresh' }).click()
    await older.answered
    await platform.storeDevice('order:1', { datatype_name: 'second', last_updated: pythonTime(2) })
    await platform.hints.hint('changed', ['order:1'], 0)
    await row.getByText('second').waitFor()
    await older.release()
    await page.locator('.found').getByText('as of').waitFor()
    expect(await row.getByText('second').count()).toBe(1)
    await platform.client.srem('devices', 'order:1')
    await platform.client.del('device:order:1:metadata')
  })

  // The last test: the Redis of the platform loses its devices.
  test('keep the last known rows in an outage, and load again by themselves afterwards', async () => {
    const page = await openPage('#devices?contains=even:00', { mayComplain: true })
    await showsIds(page, EVEN.slice(0, 5))
    await platform.redis.kill('SIGKILL')
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByText('The devices could not be loaded.').waitFor()
    expect(await idsIn(page)).toEqual(EVEN.slice(0, 5))
    await platform.redis.start()
    await page.getByText('The devices could not be loaded.').waitFor({ state: 'detached' })
    await platform.storeDevice('even:001', { last_updated: pythonTime(Date.now()) })
    // What a search has read serves further ones for some seconds.
    await eventually(async () => {
      await page.getByRole('button', { name: 'Refresh' }).click()
      expect(await idsIn(page)).toEqual(['even:001'])
    })
  })
})

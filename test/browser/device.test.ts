import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { following, holdAnswer, linkTo, rowOf, search } from '../support/browser/open-page.ts'
import { pythonTime } from '../support/browser/platform.ts'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'

const { platform, openPage } = await usePlatform()
const ago = (seconds: number) => pythonTime(Date.now() - seconds * 1_000)

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
    await platform.client.del('device:live:1:metadata')
    await platform.hints.hint('deleted', ['live:1'], 0)
    await rowOf(page, 'live:1').getByText('deleted', { exact: true }).waitFor()
    // What is gone stays marked, until the search is repeated.
    await rowOf(page, 'live:1').getByRole('cell', { name: '–', exact: true }).last().waitFor()
    await platform.storeDevice('live:1', { datatype_name: 'again' })
    await platform.hints.hint('changed', ['live:1'], 0)
    await rowOf(page, 'live:1').getByText('again').waitFor()
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

describe('the deletion of a device', () => {
  const dialogOf = (page: Page) => page.getByRole('dialog', { name: 'Delete this device?' })
  const ask = (page: Page) => page.getByRole('button', { name: 'Delete this device…' })
  const exists = (id: string) => platform.client.exists(`device:${id}:metadata`)

  /** A page that has shown each of the devices, and shows the one in the middle. */
  async function openThree(): Promise<Page> {
    for (const id of ['del:1', 'del:2', 'del:3']) await platform.storeDevice(id, { datatype_name: id })
    const page = await openPage('#device=del:1', { mayComplain: true })
    for (const id of ['del:2', 'del:3']) await goTo(page, `device=${id}`)
    await page.goBack()
    await page.getByRole('row', { name: 'datatype_name del:2' }).waitFor()
    return page
  }
  const goTo = (page: Page, fragment: string) => page.evaluate(`location.hash = ${JSON.stringify(fragment)}`)

  test('is canceled when the page shows something else, however the reader got there', async () => {
    const page = await openThree()
    const ways = [
      [() => page.goBack(), 'del:1', () => page.goForward()],
      [() => page.goForward(), 'del:3', () => page.goBack()],
      [() => goTo(page, 'device=del:1'), 'del:1', () => page.goBack()],
      [() => goTo(page, 'state'), 'State', () => page.goBack()],
    ] as const
    for (const [leave, heading, comeBack] of ways) {
      await ask(page).click()
      await dialogOf(page).getByText('del:2', { exact: true }).waitFor()
      await leave()
      await page.locator('h1', { hasText: heading }).waitFor()
      await dialogOf(page).waitFor({ state: 'hidden' })
      await comeBack()
      await page.getByRole('row', { name: 'datatype_name del:2' }).waitFor()
    }
    for (const id of ['del:1', 'del:2', 'del:3']) expect(await exists(id)).toBe(1)
  })

  test('concerns only the device that its dialog named, although another one is opened before it is done', async () => {
    const page = await openThree()
    const deletion = await holdAnswer(page, '**/api/devices/*', 'DELETE')
    await ask(page).click()
    await dialogOf(page).getByRole('button', { name: 'Delete', exact: true }).click()
    await deletion.answered
    await goTo(page, 'device=del:1')
    await page.getByRole('row', { name: 'datatype_name del:1' }).waitFor()
    await ask(page).waitFor()
    await deletion.release({ status: 500 })
    await ask(page).click()
    await dialogOf(page).getByText('del:1', { exact: true }).waitFor()
    expect(await page.getByText('could not be deleted').count()).toBe(0)
    expect([await exists('del:1'), await exists('del:2')]).toEqual([1, 0])
  })

  test('deletes the named device although it changes while the dialog is open', async () => {
    const page = await openThree()
    await following(page)
    await ask(page).click()
    await platform.storeDevice('del:2', { datatype_name: 'other' })
    await platform.hints.hint('changed', ['del:2'], 0)
    await page.getByText('datatype_name: del:2 → other').waitFor()
    await dialogOf(page).getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByText('This device is not in the cache').waitFor()
    expect([await exists('del:1'), await exists('del:2'), await exists('del:3')]).toEqual([1, 0, 1])
  })

  test('is not confirmed by the second click of a double click', async () => {
    const page = await openThree()
    await ask(page).click()
    const place = await dialogOf(page).getByRole('button', { name: 'Delete', exact: true }).boundingBox()
    await page.mouse.move((place?.x ?? 0) + 10, (place?.y ?? 0) + 10)
    await page.mouse.down({ clickCount: 2 })
    await page.mouse.up({ clickCount: 2 })
    await page.keyboard.press('Escape')
    await dialogOf(page).waitFor({ state: 'hidden' })
    await page.getByRole('link', { name: 'State' }).click()
    expect(await exists('del:2')).toBe(1)
  })

  test('can be tried again after it failed', async () => {
    const page = await openThree()
    let failures = 0
    await page.route('**/api/devices/*', async (route) => {
      if (route.request().method() !== 'DELETE' || ++failures > 1) return await route.fallback()
      await route.fulfill({ status: 503, body: '' })
    })
    for (const [outcome, role] of [
      ['The device could not be deleted. The API answered 503.', 'alert'],
      ['This device is not in the cache', 'main'],
    ] as const) {
      await ask(page).click()
      await dialogOf(page).getByRole('button', { name: 'Delete', exact: true }).click()
      await page.getByRole(role).getByText(outcome).waitFor()
    }
    expect(await exists('del:2')).toBe(0)
  })
})

describe('a damaged device', () => {
  test('is found by its id, says what is wrong, and can be deleted', async () => {
    await platform.client.set('device:bad:1:metadata', 'no hash')
    await platform.client.sadd('devices', 'bad:1')
    const page = await openPage('#devices', { mayComplain: true })
    await search(page, 'bad:1')
    await page.getByText('bad:1: The key does not hold a hash.').waitFor()
    await page.getByText('No device').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'bad:1' }).click()
    await page.getByText('Redis holds corrupt data for this device').waitFor()
    await page.getByRole('alert').getByText('The key does not hold a hash.').waitFor()
    await page.getByRole('button', { name: 'Delete this device…' }).click()
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByText('This device is not in the cache').waitFor()
    expect(await platform.client.exists('device:bad:1:metadata')).toBe(0)
  })

  test('shows its raw hash, and its repair as it happens', async () => {
    await platform.client.hset('device:bad:2:metadata', { persist: '{', datatype_name: 'Door' })
    await platform.client.sadd('devices', 'bad:2')
    const page = await openPage('#device=bad%3A2')
    await page.getByText('The field persist is not valid JSON.').waitFor()
    await page.getByText('"persist": "{"').waitFor()
    await following(page)
    await platform.storeDevice('bad:2', { persist: 'true' })
    await platform.hints.hint('changed', ['bad:2'], 0)
    await page.getByRole('row', { name: 'persist true boolean' }).waitFor()
    await page
      .getByRole('list', { name: 'While this page was open' })
      .getByText('persist: { → true')
      .waitFor()
  })
})

test('a device with 500 further fields shows all of them', async () => {
  const fields = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`field_${i}`, `value ${i}`]))
  await platform.storeDevice('big:1', fields)
  const page = await openPage('#device=big%3A1')
  await page.getByRole('row', { name: 'field_499 value 499 text' }).waitFor()
  expect(await page.getByRole('row', { name: /^field_/ }).count()).toBe(500)
})

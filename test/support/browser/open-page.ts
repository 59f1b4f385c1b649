import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'

export type OpenPageOptions = BrowserContextOptions & {
  /** A failed request is a console message of the browser. */
  readonly mayComplain?: boolean
  /** How far the clock of the computer is ahead. */
  readonly clockAheadMs?: number
}

/** A new tab. A console message, an exception, or a request that leaves the root of the page fails the test. */
export async function openPage(
  browser: Browser,
  root: string,
  fragment = '',
  { clockAheadMs = 0, mayComplain = false, ...options }: OpenPageOptions = {},
): Promise<Page> {
  const context = await browser.newContext(options)
  if (clockAheadMs !== 0) await context.clock.install({ time: Date.now() + clockAheadMs })
  const page = await context.newPage()
  const complaints: string[] = []
  const exceptions: string[] = []
  page.on('console', (message) => {
    // On a busy machine the API may be not ready for a moment, which the page has to endure.
    if (!message.text().includes('status of 503')) complaints.push(message.text())
  })
  page.on('pageerror', (error) => exceptions.push(String(error)))
  page.on('request', (request) => {
    if (!request.url().startsWith(`${root}/`)) exceptions.push(`a request to ${request.url()}`)
  })
  onTestFinished(async () => {
    await context.close()
    expect(exceptions).toEqual([])
    if (!mayComplain) expect(complaints).toEqual([])
  })
  await page.goto(`${root}/${fragment}`)
  return page
}

export const deviceTable = (page: Page) => page.getByRole('table', { name: /^Devices/ })
export const rowOf = (page: Page, id: string) => deviceTable(page).getByRole('row', { name: id })
export const linkTo = (page: Page, id: string) =>
  deviceTable(page).getByRole('link', { name: id, exact: true })
export const banner = (page: Page) => page.locator('.banner')
export const tile = (page: Page, name: string) =>
  page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) })

export async function idsIn(page: Page): Promise<string[]> {
  return await deviceTable(page).getByRole('rowheader').getByRole('link').allInnerTexts()
}

export async function search(page: Page, text: string): Promise<void> {
  await page.getByRole('searchbox', { name: 'Id contains' }).fill(text)
  await page.getByRole('button', { name: 'Search' }).click()
}

/** Resolves when the page receives events. */
export async function following(page: Page): Promise<void> {
  await page.getByText('Live', { exact: true }).waitFor()
}

export async function focused(page: Page): Promise<string> {
  return await page.evaluate<string>("document.activeElement?.innerText ?? ''")
}

export type HeldAnswer = {
  /** Resolves when the API has answered. */
  readonly answered: Promise<void>
  /** Passes the answer on, or the given one in its place. */
  release(instead?: { readonly status: number }): Promise<void>
}

/** Holds back what the API answers to the next request of this kind. */
export async function holdAnswer(page: Page, url: string, method = 'GET'): Promise<HeldAnswer> {
  const answered = Promise.withResolvers<void>()
  const released = Promise.withResolvers<{ readonly status: number } | undefined>()
  const passedOn = Promise.withResolvers<void>()
  let isHeld = false
  await page.route(url, async (route) => {
    if (isHeld || route.request().method() !== method) return await route.fallback()
    isHeld = true
    const response = await route.fetch()
    answered.resolve()
    const instead = await released.promise
    await route.fulfill(instead ?? { response })
    passedOn.resolve()
  })
  return {
    answered: answered.promise,
    async release(instead) {
      released.resolve(instead)
      await passedOn.promise
    },
  }
}

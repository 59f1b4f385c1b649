import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'
import { startPathPrefixProxy } from '../support/servers/path-prefix-proxy.ts'

const { api, browser } = await usePlatform()
const proxy = await startPathPrefixProxy(api.url, '/iot/cache')
afterAll(() => proxy.stop())

/** The reference. A console message, an exception, or a request to anything but the API fails the test. */
async function openReference(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    const isOwn = request.url().startsWith(`${url}/`) || request.url().startsWith('data:')
    if (!isOwn) complaints.push(`a request to ${request.url()}`)
  })
  onTestFinished(async () => {
    await context.close()
    expect(complaints).toEqual([])
  })
  await page.goto(`${url}/docs`)
  await page.getByText('/api/devices/lookup').waitFor()
  return page
}

async function openOperation(page: Page, path: string): Promise<void> {
  await page.getByRole('button', { name: new RegExp(`^get ${path.replaceAll(/[/{}]/g, '.')}$`, 'i') }).click()
}

describe('the API reference', () => {
  test.each(['light', 'dark'] as const)(
    'is shown in a %s browser, without a request elsewhere',
    async (colorScheme) => {
      const page = await openReference(api.url, { colorScheme })
      // In a light browser, only the body has a background.
      const brightness = async () => {
        const backgrounds = await page.evaluate(
          '[document.documentElement, document.body].map((element) => getComputedStyle(element).backgroundColor)',
        )
        const opaque = /rgb\((\d+)/.exec(String(backgrounds))?.[1]
        return Number(opaque) < 128 ? 'dark' : 'light'
      }
      expect(await brightness()).toBe(colorScheme)
      const other = colorScheme === 'dark' ? 'light' : 'dark'
      await page.emulateMedia({ colorScheme: other })
      await eventually(async () => expect(await brightness()).toBe(other))
    },
  )

  test('fits a phone', async () => {
    const page = await openReference(api.url, {
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
    })
    await openOperation(page, '/api/devices/{id}')
    await page.getByText('Identifies the content of the device').first().waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
  })

  test('sends a request to the API below the path prefix of a reverse proxy', async () => {
    const page = await openReference(proxy.url)
    await openOperation(page, '/api/devices')
    await page.getByRole('button', { name: 'Try it out' }).click()
    const answered = page.waitForResponse((response) => response.url().includes('/api/devices?'))
    await page.getByRole('button', { name: 'Execute' }).click()
    const response = await answered
    expect(response.url()).toMatch(new RegExp(`^${proxy.url}/api/devices\\?`))
    expect(response.status()).toBe(200)
    expect(proxy.strayPaths.filter((path) => path !== '/favicon.ico')).toEqual([])
  })
})

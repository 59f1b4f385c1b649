import type { Browser, Page } from 'playwright-core'
import { afterAll } from 'vitest'
import { openChromium } from '../servers/chromium.ts'
import { openPage, type OpenPageOptions } from './open-page.ts'
import { startApi, startPlatform, type Platform, type RunningApi } from './platform.ts'

export type UsedPlatform = {
  readonly platform: Platform
  readonly api: RunningApi
  readonly browser: Browser
  /** A new tab with the page of `api`, or of another `root`. */
  openPage(fragment?: string, options?: OpenPageOptions, root?: string): Promise<Page>
}

/** A platform with an API and a Chromium, for all tests of the calling file: to call once, outside the tests. */
export async function usePlatform(): Promise<UsedPlatform> {
  const platform = await startPlatform()
  afterAll(() => platform.stop())
  const [api, browser] = await Promise.all([startApi(platform.redis), openChromium()])
  afterAll(() => api.stop())
  afterAll(() => browser.close())
  return {
    platform,
    api,
    browser,
    openPage: (fragment = '', options = {}, root = api.url) => openPage(browser, root, fragment, options),
  }
}

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

// Disables Chromium's own background requests.
const ARGUMENTS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

/** The system's Chromium, or the one that CHROMIUM names. */
export async function openChromium(): Promise<Browser> {
  const executablePath = findChromium()
  return await chromium.launch({ executablePath, args: ARGUMENTS })
}

function findChromium(): string {
  const named = process.env['CHROMIUM']
  if (named) return named
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name)
      if (isExecutable(path)) return path
    }
  }
  throw new Error(
    'No Chromium for the tests of the page. Run `make install`, or set CHROMIUM=/path/to/chromium (as root on Debian: apt-get install chromium)',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

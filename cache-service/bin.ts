#!/usr/bin/env node
/**
 * The command `cache-service` of the npm package. For its form, see cli/bin.ts. The flags of Node.js are those of
 * `npm start`; as they apply only from the start of a process, this one is replaced.
 */
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `cache-service needs Node.js 24 or newer, but ${process.execPath} is ${process.version}: install a newer one, or put it first in PATH\n`,
  )
  process.exitCode = 1
} else if (process.platform === 'win32') {
  void import('./main.ts')
} else {
  const flags = [
    '--disable-warning=TimeoutNegativeWarning',
    '--max-old-space-size=256',
    '--max-semi-space-size=32',
  ]
  const main = decodeURIComponent(new URL(import.meta.url).pathname).replace(/bin\.(\w+)$/, 'main.$1')
  const { execPath } = process
  if (process.execve !== undefined)
    process.execve(execPath, [execPath, ...flags, main, ...process.argv.slice(2)])
}

#!/usr/bin/env node
/**
 * The command `cache-cli`. An older Node.js must be able to parse this file, because only then can it print which one is
 * needed: nothing newer than ES2017 but `import()`, and no other import. The first line has no flags for Node.js, because
 * the `env` of Alpine Linux does not split them from the name.
 */
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `cache-cli needs Node.js 24 or newer, but ${process.execPath} is ${process.version}: install a newer one, or put it first in PATH\n`,
  )
  process.exitCode = 1
} else {
  // KafkaJS causes this warning, which means nothing. Other warnings are printed as usual.
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== 'TimeoutNegativeWarning')
      process.stderr.write(`${warning.name}: ${warning.message}\n`)
  })
  void import('./main.ts')
}

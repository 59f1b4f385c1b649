import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { WriteStream } from 'node:tty'
import { readPackageVersion } from '../package-version.ts'
import { CliError } from './cli-error.ts'
import type { Sink } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { runCli } from './run-cli.ts'

/** The program `cache-cli`, which bin.ts starts. Only these two files of it touch `process`. The exit codes are in exit-codes.ts. */
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Second signal: exit immediately.
    if (stop.signal.aborted) process.exit(EXIT.interrupted)
    stop.abort(new CliError(EXIT.interrupted, 'interrupted'))
  })
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has closed the pipe, as in `cache-cli list | head`: not a failure.
  if (error.code === 'EPIPE') stop.abort(new CliError(EXIT.ok, 'the output is no longer read'))
  else stop.abort(new CliError(EXIT.failure, `the output can't be written: ${error.message}`))
})
process.stderr.on('error', () => undefined)

const exitCode = await runCli(process.argv.slice(2), {
  version: readPackageVersion(),
  env: process.env,
  readFile: (path) => readFileSync(path, 'utf8'),
  stdin: { stream: process.stdin, isTerminal: process.stdin.isTTY },
  stdout: sinkOf(process.stdout),
  stderr: sinkOf(process.stderr),
  stop: stop.signal,
  now: () => Date.now(),
  monotonicNow: () => performance.now(),
  random: () => Math.random(),
  randomBytes,
  processId: `cache-cli-${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`,
})
await Promise.all([process.stdout, process.stderr].map(flush))
// Timers and sockets of libraries may still be open.
process.exit(exitCode)

function sinkOf(stream: WriteStream): Sink {
  return {
    stream,
    isTerminal: stream.isTTY,
    get columns() {
      // 0: a terminal that does not know its width.
      return stream.isTTY && stream.columns > 0 ? stream.columns : undefined
    },
  }
}

function flush(stream: WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}

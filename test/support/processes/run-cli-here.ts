import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { runCli } from '../../../cache-service/cli/run-cli.ts'
import { uniqueName } from '../test-scope.ts'
import { assertNoSecrets } from './secrets.ts'

export type CliResult = { readonly code: number; readonly output: string; readonly errors: string }

export type CliSurroundings = {
  readonly stdin?: string | Uint8Array
  /** Applies to stdin, stdout and stderr. */
  readonly isTerminal?: boolean
  readonly columns?: number
}

export type RunningCli = {
  /** The output so far. */
  readonly output: string
  readonly errors: string
  /** Both, interleaved, as on a terminal. */
  readonly shown: string
  /** Acts like Ctrl-C. */
  interrupt(): void
  readonly ended: Promise<CliResult>
}

/** Runs `cache-cli <args>` in this process, with only the given environment. */
export function startCliHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { stdin = '', isTerminal = false, columns = 80 }: CliSurroundings = {},
): RunningCli {
  const stop = new AbortController()
  const shown: Buffer[] = []
  const stdout = collector(shown)
  const stderr = collector(shown)
  const sink = (stream: Writable) =>
    // The progress bar inspects the stream itself.
    isTerminal
      ? { stream: Object.assign(stream, { isTTY: true, columns }), isTerminal, columns }
      : { stream, isTerminal, columns: undefined }
  const code = runCli(args, {
    version: '0.0.0-test',
    env,
    readFile: (path) => readFileSync(path, 'utf8'),
    stdin: { stream: Readable.from([Buffer.from(stdin)]), isTerminal },
    stdout: sink(stdout.stream),
    stderr: sink(stderr.stream),
    stop: stop.signal,
    now: () => Date.now(),
    monotonicNow: () => performance.now(),
    random: () => Math.random(),
    randomBytes,
    processId: uniqueName('cache-cli'),
  })
  return {
    get output() {
      return stdout.text()
    },
    get errors() {
      return stderr.text()
    },
    get shown() {
      return Buffer.concat(shown).toString()
    },
    interrupt: () => stop.abort(),
    ended: code.then((exitCode) => {
      assertNoSecrets(`cache-cli ${args.join(' ')}`, stdout.text() + stderr.text(), env)
      return { code: exitCode, output: stdout.text(), errors: stderr.text() }
    }),
  }
}

export function runCliHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  surroundings: CliSurroundings = {},
): Promise<CliResult> {
  return startCliHere(args, env, surroundings).ended
}

function collector(shown: Buffer[]): { stream: Writable; text(): string } {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk)
      shown.push(chunk)
      done()
    },
  })
  return { stream, text: () => Buffer.concat(chunks).toString() }
}

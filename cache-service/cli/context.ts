import type { Readable, Writable } from 'node:stream'
import type { Clocks } from '../lifecycle/clocks.ts'

/** A stream for text. */
export type Sink = {
  readonly stream: Writable
  readonly isTerminal: boolean
  /** Width of the terminal; undefined: not known. Read again for each use, because windows are resized. */
  readonly columns: number | undefined
}

/** Everything that cache-cli gets from outside: main.ts takes it from the process, tests provide their own. */
export type CliContext = Clocks & {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Returns the text of a file, or throws. */
  readonly readFile: (path: string) => string
  readonly stdin: { readonly stream: Readable; readonly isTerminal: boolean }
  readonly stdout: Sink
  readonly stderr: Sink
  /** Aborts when the command must end. If the reason is a CliError, it has the exit code. */
  readonly stop: AbortSignal
  readonly random: () => number
  readonly randomBytes: (count: number) => Buffer
  /** Identifies this process in Redis and in Kafka. */
  readonly processId: string
}

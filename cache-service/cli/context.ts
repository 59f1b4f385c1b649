import type { Readable, Writable } from 'node:stream'

/** Where text goes. */
export type Sink = {
  readonly stream: Writable
  readonly isTerminal: boolean
  /** Of the terminal; undefined: not known. Asked anew each time, as windows change. */
  readonly columns: number | undefined
}

/** Everything that cache-cli has of the world: main.ts fills it from the process, a test as it likes. */
export type CliContext = {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file, or throws. */
  readonly readFile: (path: string) => string
  readonly stdin: { readonly stream: Readable; readonly isTerminal: boolean }
  readonly stdout: Sink
  readonly stderr: Sink
  /** Aborts when we are told to end. Its reason, if it is a CliError, says with which exit code. */
  readonly stop: AbortSignal
  readonly now: () => number
  readonly random: () => number
  readonly randomBytes: (count: number) => Buffer
  /** Tells this process from others, in Redis and in Kafka. */
  readonly processId: string
}

import type { Command } from 'commander'
import type { ExitCode } from './exit-codes.ts'
import type { Session } from './session.ts'

/** What a command does. Nothing: it went well. What it throws is reported in one line, with its exit code. */
export type Work = (session: Session) => Promise<ExitCode | void>

export type Cli = {
  readonly program: Command
  /** Called by the action of a command: opens a session, does the work, releases all that was opened. */
  perform(work: Work): Promise<void>
}

/** Adds one command, or a group of them, to the program. Each has a file of its own. */
export type RegisterCommand = (cli: Cli) => void

/** For `addHelpText('after', …)`: each line a command that works as it stands, and what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const texts = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`)
  return `\nExamples:\n${texts.join('\n')}`
}

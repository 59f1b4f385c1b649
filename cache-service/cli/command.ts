import type { Command } from 'commander'
import type { ExitCode } from './exit-codes.ts'
import type { Session } from './session.ts'

/** The work of a command. Returning nothing means success. What it throws becomes one line and an exit code. */
export type Work = (session: Session) => Promise<ExitCode | void>

export type Cli = {
  readonly program: Command
  /**
   * For the action of a command: opens a session, does the work, and releases everything that was opened.
   *
   * @param source `api`: the command can query an API. The others refuse `--api`, which would have no effect.
   */
  perform(work: Work, source?: 'api'): Promise<void>
}

/** Adds one command, or a group of commands, to the program. Each has its own file. */
export type RegisterCommand = (cli: Cli) => void

/** For `addHelpText('after', …)`: complete commands, each with what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const texts = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`)
  return `\nExamples:\n${texts.join('\n')}`
}

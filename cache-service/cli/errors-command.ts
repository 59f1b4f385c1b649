import type { Cli } from './cli.ts'
import { registerErrorsListCommand } from './errors-list-command.ts'
import { registerErrorsReplayCommand } from './errors-replay-command.ts'
import { registerErrorsShowCommand } from './errors-show-command.ts'
import { registerErrorsStatsCommand } from './errors-stats-command.ts'

export function registerErrorsCommand(cli: Cli): void {
  const errors = cli.program
    .command('errors')
    .description('the dead letters: records that could not be applied (KAFKA_ERROR_TOPIC)')
  registerErrorsListCommand(errors, cli)
  registerErrorsShowCommand(errors, cli)
  registerErrorsStatsCommand(errors, cli)
  registerErrorsReplayCommand(errors, cli)
}

import { examples, type Cli } from '../../command.ts'
import { registerErrorsListCommand } from './list.ts'
import { registerErrorsReplayCommand } from './replay.ts'
import { registerErrorsShowCommand } from './show.ts'
import { registerErrorsStatsCommand } from './stats.ts'

export function registerErrorsCommand(cli: Cli): void {
  const errors = cli.program
    .command('errors')
    .description('show or replay dead letters: records that could not be applied (KAFKA_ERROR_TOPIC)')
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors stats --since 24h', 'count them by reason, device and hour'],
        ['cache-cli errors list --reason wrong_type', 'list them, newest first'],
        ['cache-cli errors show 0:17', 'show one with its record'],
        ['cache-cli errors replay --dry-run', 'show which of them could be applied now'],
      ),
    )
  registerErrorsListCommand(errors, cli)
  registerErrorsShowCommand(errors, cli)
  registerErrorsStatsCommand(errors, cli)
  registerErrorsReplayCommand(errors, cli)
}

import type { RegisterCommand } from './command.ts'
import { registerBatchCommand } from './commands/batch.ts'
import { registerCompletionCommand } from './commands/completion.ts'
import { registerConfigCommand } from './commands/config.ts'
import { registerDeleteCommand } from './commands/delete.ts'
import { registerDoctorCommand } from './commands/doctor/doctor.ts'
import { registerErrorsCommand } from './commands/errors/errors.ts'
import { registerExplainCommand } from './commands/explain.ts'
import { registerGetCommand } from './commands/get.ts'
import { registerInfoCommand } from './commands/info.ts'
import { registerLagCommand } from './commands/lag.ts'
import { registerListCommand } from './commands/list.ts'
import { registerRebuildCommand } from './commands/rebuild.ts'
import { registerStateCommand } from './commands/state.ts'
import { registerSweepCommand } from './commands/sweep.ts'
import { registerTokenCommand } from './commands/token.ts'
import { registerWatchCommand } from './commands/watch.ts'

/** In the order of `--help`. */
export const COMMANDS: readonly RegisterCommand[] = [
  registerListCommand,
  registerGetCommand,
  registerBatchCommand,
  registerDeleteCommand,
  registerStateCommand,
  registerWatchCommand,
  registerInfoCommand,
  registerLagCommand,
  registerErrorsCommand,
  registerExplainCommand,
  registerRebuildCommand,
  registerSweepCommand,
  registerDoctorCommand,
  registerConfigCommand,
  registerTokenCommand,
  registerCompletionCommand,
]

import type { RegisterCommand } from './cli.ts'
import { registerBatchCommand } from './batch-command.ts'
import { registerConfigCommand } from './config-command.ts'
import { registerDoctorCommand } from './doctor-command.ts'
import { registerErrorsCommand } from './errors-command.ts'
import { registerExplainCommand } from './explain-command.ts'
import { registerGetCommand } from './get-command.ts'
import { registerInfoCommand } from './info-command.ts'
import { registerLagCommand } from './lag-command.ts'
import { registerListCommand } from './list-command.ts'
import { registerRebuildCommand } from './rebuild-command.ts'
import { registerSweepCommand } from './sweep-command.ts'
import { registerTokenCommand } from './token-command.ts'
import { registerWatchCommand } from './watch-command.ts'

/** In the order of `--help`. */
export const COMMANDS: readonly RegisterCommand[] = [
  registerListCommand,
  registerGetCommand,
  registerBatchCommand,
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
]

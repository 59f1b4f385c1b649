import type { Config } from '../config/config.ts'
import type { Logger } from '../telemetry/logger.ts'

/** What every role is given by main.ts, which alone touches the process. */
export type RoleContext = {
  readonly config: Config
  readonly log: Logger
  readonly version: string
  readonly nodeVersion: string
  /** Tells this process from others that share its client id. */
  readonly processId: string
  /** Aborts when the process is told to end. */
  readonly stop: AbortSignal
}

import type { Config } from '../config/config.ts'
import type { Logger } from '../telemetry/logger.ts'

/** What main.ts, the only file that touches `process`, passes to every role. */
export type RoleContext = {
  readonly config: Config
  readonly log: Logger
  readonly version: string
  readonly nodeVersion: string
  /** Distinguishes this process from others with the same client id. */
  readonly processId: string
  /** Aborts when the process receives a signal to stop. */
  readonly stop: AbortSignal
}

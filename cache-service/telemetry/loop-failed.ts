import { messageOf } from '../../shared/errors.ts'
import type { Logger } from './logger.ts'

/** Logs that a turn of a loop has failed, which its next turn makes up for. */
export function createLoopFailed(log: Logger) {
  return (loop: string, error: unknown) =>
    log.warn({ loop, error: messageOf(error) }, 'loop failed: retrying')
}

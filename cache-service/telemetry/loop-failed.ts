import { messageOf } from '../../shared/errors.ts'
import type { Logger } from './logger.ts'
import { heldBackField } from './rate-limit.ts'
import { createRepeatLimit } from './repeat-limit.ts'

/** Logs that a turn of a loop has failed, which its next turn makes up for. */
export function createLoopFailed(log: Logger, monotonicNow: () => number) {
  const lines = createRepeatLimit(monotonicNow)
  return (loop: string, thrown: unknown) => {
    const error = messageOf(thrown)
    const heldBack = lines.pass(`${loop}: ${error}`)
    if (heldBack === undefined) return
    log.warn({ loop, error, ...heldBackField(heldBack) }, 'loop failed: retrying')
  }
}

import { messageOf } from '../../shared/errors.ts'
import type { Logger } from './logger.ts'
import { createRepeatLimit } from './repeat-limit.ts'

/** Logs that a turn of a loop has failed, which its next turn makes up for. */
export function createLoopFailed(log: Logger, monotonicNow: () => number) {
  const lines = createRepeatLimit(monotonicNow)
  return (loop: string, thrown: unknown) => {
    const error = messageOf(thrown)
    const linesHeldBack = lines.pass(`${loop}: ${error}`)
    if (linesHeldBack === undefined) return
    log.warn({ loop, error, ...(linesHeldBack > 0 && { linesHeldBack }) }, 'loop failed: retrying')
  }
}

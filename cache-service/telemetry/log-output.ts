import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { pino, type DestinationStream } from 'pino'

/** While nothing reads the log, lines beyond this limit are dropped rather than kept in memory. */
const MAX_UNWRITTEN_BYTES = 4 * 1024 * 1024
const LONGEST_FLUSH_MS = 500

/** Where the log goes. */
export type LogOutput = DestinationStream & {
  /** Writes what is still in memory, before the process exits: for half a second if nothing reads it. */
  flushAtExit(): void
}

/**
 * A pipe is full when its reader hangs. That must stop neither the work nor the exit of the process, so it is written to
 * without blocking: a thread that is blocked in a write would prevent even `process.exit`.
 */
export function openLogOutput(fd: number, monotonicNow: () => number): LogOutput {
  const file = fstatSync(fd)
  if (file.isFIFO() || file.isSocket()) makeNonBlocking(fd)
  let exitsAtMs = Infinity
  const output = pino.destination({
    dest: fd,
    sync: false,
    maxLength: MAX_UNWRITTEN_BYTES,
    retryEAGAIN: () => monotonicNow() < exitsAtMs,
  })
  return {
    write: (line) => void output.write(line),
    flushAtExit() {
      exitsAtMs = monotonicNow() + LONGEST_FLUSH_MS
      try {
        output.flushSync()
      } catch {
        // The lines are lost; there is nowhere to report that.
      }
      // Otherwise pino flushes again during the exit, and throws.
      output.destroy()
    },
  }
}

/** Node.js has no function for this, but opening a socket does it. */
function makeNonBlocking(fd: number): Socket {
  return new Socket({ fd, readable: false, writable: true })
}

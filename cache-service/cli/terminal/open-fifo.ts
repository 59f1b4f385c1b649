import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { sleep } from '../../lifecycle/sleep.ts'
import { systemCodeOf } from './system-code.ts'

const POLL_INTERVAL_MS = 50

/**
 * Opens a FIFO, such as the one of `<(…)`. A plain open waits for the other end in a thread that neither a signal nor
 * the end of the process interrupts.
 *
 * @throws Error (ENXIO) if the command is stopped before a reader has opened the FIFO.
 */
export async function openFifo(
  path: string,
  direction: 'read' | 'write',
  stop: AbortSignal,
): Promise<Socket> {
  if (direction === 'read') {
    return new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), writable: false })
  }
  for (;;) {
    try {
      const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
      try {
        return new Socket({ fd, readable: false })
      } catch (error) {
        closeSync(fd)
        throw error
      }
    } catch (error) {
      // ENXIO: no reader yet.
      if (systemCodeOf(error) !== 'ENXIO' || stop.aborted) throw error
    }
    await sleep(POLL_INTERVAL_MS, stop)
  }
}

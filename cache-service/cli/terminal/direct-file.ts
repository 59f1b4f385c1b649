import { createWriteStream, type Stats } from 'node:fs'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-codes.ts'
import { openFifo } from './open-fifo.ts'
import type { ResultFile } from './result-file.ts'
import { systemCodeOf } from './system-code.ts'

/** Opened at the first write. */
export function createDirectFile(
  path: string,
  found: Stats | undefined,
  stop: AbortSignal,
  failed: (error: unknown) => CliError,
): ResultFile {
  let stream: Writable | undefined
  let failure: unknown

  async function openStream(): Promise<Writable> {
    // A file that the shell has opened, as for `3> file`: it shares the position with others.
    const descriptor = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/.exec(path)?.[1]
    const opened =
      found?.isFIFO() === true
        ? await openFifo(path, 'write', stop)
        : found?.isFile() === true && descriptor !== undefined
          ? createWriteStream('', { fd: Number(descriptor), autoClose: false })
          : createWriteStream(path)
    opened.on('error', (error: Error) => (failure ??= error))
    return opened
  }
  function failureOf(error: unknown): unknown {
    if (stop.aborted) return error
    return systemCodeOf(error) === 'EPIPE'
      ? new CliError(EXIT.ok, 'the output is no longer read')
      : failed(error)
  }

  return {
    writeDirectly() {},
    protect() {},
    async write(text) {
      try {
        stream ??= await openStream()
        const { promise, resolve: done, reject } = Promise.withResolvers<void>()
        stream.write(text, (error) => (error ? reject(error) : done()))
        await promise
      } catch (error) {
        throw failureOf(error)
      }
    },
    async commit() {
      stream?.end()
      if (stream !== undefined) await finished(stream).catch((error: unknown) => (failure ??= error))
      if (failure !== undefined) throw failureOf(failure)
    },
    async close() {
      stream?.destroy()
    },
  }
}

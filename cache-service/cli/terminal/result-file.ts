import { createWriteStream, openSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { messageOf } from '../../../shared/errors.ts'
import type { ReleaseStack } from '../../lifecycle/release-stack.ts'
import { CliError } from '../cli-error.ts'
import type { Sink } from '../context.ts'
import { EXIT } from '../exit-codes.ts'

/**
 * Opens the file of `--output` and truncates it.
 * @throws CliError if it can't be opened. Its release rejects if a write failed.
 */
export function openResultFile(path: string, releases: ReleaseStack): Sink {
  const failed = (error: unknown) =>
    new CliError(
      EXIT.failure,
      `${path} can't be written (${messageOf(error)}): choose another --output`,
      error,
    )
  let fd: number
  try {
    fd = openSync(path, 'w')
  } catch (error) {
    throw failed(error)
  }
  const stream = createWriteStream(path, { fd })
  let failure: CliError | undefined
  stream.on('error', (error) => (failure ??= failed(error)))
  releases.push('result file', async () => {
    stream.end()
    await finished(stream).catch(() => undefined)
    if (failure !== undefined) throw failure
  })
  return { stream, isTerminal: false, columns: undefined }
}

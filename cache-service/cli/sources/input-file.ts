import { createReadStream } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { messageOf } from '../../../shared/errors.ts'
import { usageError } from '../cli-error.ts'
import type { Session } from '../session.ts'
import { openFifo } from '../terminal/open-fifo.ts'

const STDIN = ['-', '/dev/stdin', '/dev/fd/0', '/proc/self/fd/0']

/** A file, a FIFO such as the one of `<(…)`, or stdin. */
export type InputFile = {
  /** False: it can be opened only once. */
  readonly isRegular: boolean
  open(): Promise<Readable>
}

/**
 * @param option that names the file, for the error.
 * @throws CliError (usage) if it can't be read.
 */
export async function findInputFile(session: Session, path: string, option: string): Promise<InputFile> {
  const { stdin, stop } = session.context
  if (STDIN.includes(path)) {
    if (stdin.isTerminal) session.info('Reading from the terminal. Press Ctrl-D at the end of the input.')
    return { isRegular: false, open: async () => stdin.stream }
  }
  try {
    const found = await stat(path)
    if (found.isDirectory()) throw new Error('it is a directory')
    await access(path, constants.R_OK)
    if (found.isFIFO()) return { isRegular: false, open: async () => await openFifo(path, 'read', stop) }
    return { isRegular: found.isFile(), open: async () => createReadStream(path) }
  } catch (error) {
    throw unreadable(error, option)
  }
}

/** The bytes of an input. @throws CliError (usage) if it can't be read. */
export async function* readInput(input: InputFile, option: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of await input.open()) yield Buffer.from(chunk)
  } catch (error) {
    throw unreadable(error, option)
  }
}

function unreadable(error: unknown, option: string) {
  return usageError(`the input can't be read (${messageOf(error)}): check ${option}`)
}

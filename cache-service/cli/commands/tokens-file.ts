import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { messageOf } from '../../../shared/errors.ts'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-codes.ts'
import { systemCodeOf } from '../terminal/system-code.ts'
import type { EditedTokens } from './token-entry.ts'

/** Only the owner may read a new token file. */
const OWNER_ONLY = 0o600

/**
 * Replaces the file atomically: a reader sees either the old or the new content. The new file, which is then renamed,
 * is also the lock against another process that changes the tokens.
 *
 * @param edit changes the text of the file, which is empty if there is none. @throws CliError
 */
export async function editTokensFile(given: string, edit: (text: string) => EditedTokens): Promise<void> {
  const path = await realpath(given).catch(() => given)
  const next = `${path}.new`
  let handle
  try {
    handle = await open(next, 'wx', OWNER_ONLY)
  } catch (error) {
    const isLocked = systemCodeOf(error) === 'EEXIST'
    const fix = isLocked
      ? 'another process is changing the tokens; if none is, remove this file'
      : 'check --file'
    throw new CliError(EXIT.failure, `${next} can't be created (${messageOf(error)}): ${fix}`, error)
  }
  try {
    const before = await stat(path).catch(() => undefined)
    const edited = edit(before === undefined ? '' : await readFile(path, 'utf8'))
    if (edited.kind === 'refused') throw usageError(`${given} stays as it is: ${edited.reason}`)
    await handle.writeFile(edited.text)
    await handle.sync()
    await handle.close()
    if (before !== undefined) {
      await chmod(next, before.mode)
      await chown(next, before.uid, before.gid)
    }
    await rename(next, path)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(next, { force: true })
    if (error instanceof CliError) throw error
    throw new CliError(EXIT.failure, `${given} can't be written (${messageOf(error)}): check --file`, error)
  }
}

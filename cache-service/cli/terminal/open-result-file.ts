import { randomBytes } from 'node:crypto'
import {
  accessSync,
  constants,
  lstatSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  type Stats,
} from 'node:fs'
import { copyFile, open, rename, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { messageOf } from '../../../shared/errors.ts'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-codes.ts'
import { createDirectFile } from './direct-file.ts'
import type { ResultFile } from './result-file.ts'
import { systemCodeOf } from './system-code.ts'

const BUFFERED_BYTES = 64 * 1024
const OWNER_ONLY = 0o600
/** Reduced by the umask of the process. */
const EVERYONE = 0o666
/** No file can be created beside it, but it may be writable itself: a mounted file, or a directory of somebody else. */
const WRITE_IN_PLACE = ['EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EXDEV']

/** @throws CliError if it is clear that the file can't be written, before the command does anything. */
export function openResultFile(path: string, stop: AbortSignal): ResultFile {
  const failed = (error: unknown) =>
    new CliError(
      EXIT.failure,
      `${path} can't be written (${messageOf(error)}): choose another --output`,
      error,
    )
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory() === true) throw new Error('it is a directory')
    const isReplaced = (found === undefined || found.isFile()) && !/^\/(dev|proc)\//.test(path)
    if (!isReplaced) return createDirectFile(path, found, stop, failed)
    const target = targetOf(path)
    if (found === undefined) accessSync(dirname(target), constants.W_OK)
    else accessSync(target, constants.W_OK)
    return createReplacedFile(target, found, stop, failed)
  } catch (error) {
    throw failed(error)
  }
}

/** The file that a symbolic link leads to, even if it does not exist. */
function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) {
      // A new file.
      if (systemCodeOf(error) === 'ENOENT') return resolve(path)
      throw error
    }
    return targetOf(resolve(dirname(path), readlinkSync(path)))
  }
}

function createReplacedFile(
  target: string,
  before: Stats | undefined,
  stop: AbortSignal,
  failed: (error: unknown) => CliError,
): ResultFile {
  let direct: ResultFile | undefined
  let isSecret = false
  let temporary: { readonly path: string; readonly handle: FileHandle } | undefined
  let buffered: Uint8Array[] = []
  let bufferedBytes = 0

  async function openTemporary() {
    const name = `.cache-cli-${randomBytes(6).toString('hex')}.tmp`
    // What replaces a file gets its mode at the end.
    const mode = isSecret || before !== undefined ? OWNER_ONLY : EVERYONE
    const openIn = async (folder: string) => {
      const path = join(folder, name)
      return { path, handle: await open(path, 'wx', mode) }
    }
    try {
      return await openIn(dirname(target))
    } catch (error) {
      if (before === undefined || !WRITE_IN_PLACE.includes(systemCodeOf(error))) throw error
      return await openIn(tmpdir())
    }
  }

  async function flush() {
    temporary ??= await openTemporary()
    const bytes = Buffer.concat(buffered)
    buffered = []
    bufferedBytes = 0
    await temporary.handle.writeFile(bytes)
  }

  async function replace({ handle, path }: { path: string; handle: FileHandle }) {
    await handle.sync()
    if (before !== undefined) {
      // Only root may give a file away.
      await handle.chown(before.uid, before.gid).catch(() => undefined)
      if (!isSecret) await handle.chmod(before.mode)
    }
    await handle.close()
    try {
      await rename(path, target)
    } catch (error) {
      if (!WRITE_IN_PLACE.includes(systemCodeOf(error))) throw error
      await copyFile(path, target)
      rmSync(path, { force: true })
    }
  }

  function discard() {
    if (temporary === undefined) return
    rmSync(temporary.path, { force: true })
    void temporary.handle.close().catch(() => undefined)
    temporary = undefined
  }
  // At once: a second Ctrl-C ends the process without further notice.
  stop.addEventListener('abort', discard, { once: true })

  return {
    writeDirectly: () => (direct = createDirectFile(target, undefined, stop, failed)),
    protect: () => (isSecret = true),
    async write(text) {
      if (direct !== undefined) return await direct.write(text)
      const bytes = typeof text === 'string' ? Buffer.from(text) : text
      buffered.push(bytes)
      bufferedBytes += bytes.length
      if (bufferedBytes >= BUFFERED_BYTES)
        await flush().catch((error: unknown) => Promise.reject(failed(error)))
    },
    async commit(hasFailed) {
      if (direct !== undefined) return await direct.commit(hasFailed)
      if (hasFailed && temporary === undefined && bufferedBytes === 0) return
      try {
        await flush()
        stop.throwIfAborted()
        if (temporary !== undefined) await replace(temporary)
        temporary = undefined
      } catch (error) {
        throw stop.aborted ? error : failed(error)
      }
    },
    async close() {
      discard()
      await direct?.close()
    },
  }
}

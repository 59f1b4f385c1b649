import { isToken } from '../../../shared/client/token.ts'
import { messageOf } from '../../../shared/errors.ts'
import { usageError } from '../cli-error.ts'
import type { Session } from '../session.ts'

/**
 * The token of `--token-file` or CACHE_API_TOKEN_FILE; undefined: neither is given. A byte order mark, spaces and line breaks
 * around it are ignored.
 *
 * @throws CliError (usage) that names the file, and quotes nothing of it.
 */
export function readTokenFile(session: Session): string | undefined {
  const { context, options } = session
  const path = options.tokenFile ?? context.env['CACHE_API_TOKEN_FILE'] ?? ''
  if (path === '') return undefined
  const check = `check ${tokenOption(session)}`
  let text: string
  try {
    text = context.readFile(path)
  } catch (error) {
    throw usageError(`the token file ${path} can't be read (${messageOf(error)}): ${check}`)
  }
  // trim also removes a byte order mark.
  const token = text.trim()
  if (isToken(token)) return token
  throw usageError(`the token file ${path} ${problemOf(token)}: ${check}`)
}

function problemOf(text: string): string {
  if (text === '') return 'is empty'
  if (text.includes('\0')) return 'is encoded in UTF-16: save it as UTF-8'
  if (/\s/.test(text))
    return 'must contain only the token (cache-cli token create --format json | jq -r .token)'
  return 'contains characters that no token has, such as typographic quotes or control characters'
}

/** The option or variable to check if the API rejects the token. */
export function tokenOption({ context: { env }, options: { tokenFile } }: Session): string {
  const isFromEnvironment = tokenFile === undefined && (env['CACHE_API_TOKEN_FILE'] ?? '') !== ''
  return isFromEnvironment ? 'CACHE_API_TOKEN_FILE' : '--token-file'
}

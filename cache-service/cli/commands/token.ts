import { InvalidArgumentError } from 'commander'
import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { messageOf } from '../../../shared/errors.ts'
import { SCOPES, type TokenScope } from '../../http/tokens.ts'
import { CliError, usageError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import type { Session } from '../session.ts'
import { entryOf, withEntry, type TokenEntry } from './token-entry.ts'

type CreateOptions = {
  readonly name: string
  readonly scope?: readonly TokenScope[]
  readonly expires?: string
  readonly file?: string
}

const TOKEN_BYTES = 32
const DAY_MS = 86_400_000
const NAME = /^[\w.@-]{1,64}$/
/** Only the owner may read a new token file. */
const OWNER_ONLY = 0o600

export function registerTokenCommand({ program, perform }: Cli): void {
  const token = program
    .command('token')
    .description('create tokens for the API')
    .addHelpText(
      'after',
      examples(['cache-cli token create --name dashboard', 'create a token with the scope read']),
    )
  token
    .command('create')
    .description('create a token: it is printed once, and the API stores only its hash (API_TOKENS_FILE)')
    .requiredOption('--name <name>', 'name of the client, for the logs of the API', parseName)
    .option(
      '--scope <scope>',
      'what the token allows: read (default), write, admin (repeatable, or comma-separated)',
      parseScopes,
    )
    .option('--expires <when>', 'date (2027-01-31), time (ISO 8601), or days from now (90d); default: never')
    .option('--file <file>', 'add the entry to this file; it is created if it does not exist')
    .addHelpText(
      'after',
      examples(
        ['cache-cli token create --name dashboard', 'print a token and the entry for the file'],
        [
          'cache-cli token create --name ci --scope read,write --expires 90d',
          'create a token that is valid for 90 days',
        ],
        ['cache-cli token create --name app --file tokens.jsonl', 'add the entry to the file'],
      ),
    )
    .action((options: CreateOptions) => perform((session) => create(session, options)))
}

async function create(
  session: Session,
  { expires, file, name, scope = ['read'] }: CreateOptions,
): Promise<void> {
  const token = session.context.randomBytes(TOKEN_BYTES).toString('base64url')
  const until = expires === undefined ? undefined : parseExpiry(expires, session.context.now())
  const entry = entryOf(token, name, scope, until)
  if (file !== undefined) await addToFile(file, entry)
  await session.output.secret({ token, entry })
  if (file === undefined)
    session.info('Add the entry as a line to API_TOKENS_FILE. The token is not shown again.')
  else session.info(`Added to ${file}: a running API loads it within seconds. The token is not shown again.`)
}

function parseName(text: string): string {
  if (NAME.test(text)) return text
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits, or _ . @ -')
}

function parseScopes(text: string, previous: readonly TokenScope[] | undefined): TokenScope[] {
  const names = text.split(',').map((name) => name.trim())
  const scopes = SCOPES.filter((scope) => names.includes(scope))
  if (!names.every((name) => scopes.some((scope) => scope === name))) {
    throw new InvalidArgumentError(`Allowed scopes: ${SCOPES.join(', ')}.`)
  }
  return [...new Set([...(previous ?? []), ...scopes])]
}

/** @returns ISO 8601, UTC. @throws CliError (usage) */
function parseExpiry(text: string, nowMs: number): string {
  const days = /^(\d{1,5})d$/.exec(text)?.[1]
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const ms = days !== undefined ? nowMs + Number(days) * DAY_MS : isDate ? Date.parse(text) : NaN
  if (!(ms > nowMs)) {
    throw usageError(
      `--expires ${JSON.stringify(text)} must be a date or time in the future, or a number of days such as 90d`,
    )
  }
  return new Date(ms).toISOString()
}

/**
 * Replaces the file atomically: a reader sees either the old or the new content. The new file, which is then renamed,
 * is also the lock against another process that adds a token.
 */
async function addToFile(given: string, entry: TokenEntry): Promise<void> {
  const path = await realpath(given).catch(() => given)
  const next = `${path}.new`
  let handle
  try {
    handle = await open(next, 'wx', OWNER_ONLY)
  } catch (error) {
    const isLocked = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    const fix = isLocked ? 'another process is adding a token; if none is, remove this file' : 'check --file'
    throw new CliError(EXIT.failure, `${next} can't be created (${messageOf(error)}): ${fix}`, error)
  }
  try {
    const before = await stat(path).catch(() => undefined)
    const added = withEntry(before === undefined ? '' : await readFile(path, 'utf8'), entry)
    if (added.kind === 'refused') throw usageError(`the token can't be added to ${given}: ${added.reason}`)
    await handle.writeFile(added.text)
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

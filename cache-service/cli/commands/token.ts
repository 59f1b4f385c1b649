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
/** Whoever uses it leaves no file that others may read. */
const OWNER_ONLY = 0o600

export function registerTokenCommand({ program, perform }: Cli): void {
  const token = program
    .command('token')
    .description('tokens for the API')
    .addHelpText('after', examples(['cache-cli token create --name dashboard', 'a token that may read']))
  token
    .command('create')
    .description('make a token: it is printed once, and the API keeps only its hash (API_TOKENS_FILE)')
    .requiredOption('--name <name>', 'of who uses it; the API logs it', parseName)
    .option(
      '--scope <scope>',
      'what it may do: read (default), write, admin; repeatable, or with commas',
      parseScopes,
    )
    .option(
      '--expires <when>',
      'a date (2027-01-31), a time (ISO 8601), or days from now (90d); default never',
    )
    .option('--file <file>', 'add the entry to this file, which is made if it is not there')
    .addHelpText(
      'after',
      examples(
        ['cache-cli token create --name dashboard', 'a token that may read, and the entry for the file'],
        ['cache-cli token create --name ci --scope read,write --expires 90d', 'for three months'],
        ['cache-cli token create --name app --file tokens.jsonl', 'added to the file at once'],
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
  await session.output.record({ token, entry })
  if (file === undefined)
    session.say('Add the entry as a line to API_TOKENS_FILE; the token is not shown again.')
  else session.say(`Added to ${file}: a running API knows it within seconds. The token is not shown again.`)
}

function parseName(text: string): string {
  if (NAME.test(text)) return text
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits, or _ . @ -')
}

function parseScopes(text: string, before: readonly TokenScope[] | undefined): TokenScope[] {
  const names = text.split(',').map((name) => name.trim())
  const scopes = SCOPES.filter((scope) => names.includes(scope))
  if (!names.every((name) => scopes.some((scope) => scope === name))) {
    throw new InvalidArgumentError(`It must be of ${SCOPES.join(', ')}.`)
  }
  return [...new Set([...(before ?? []), ...scopes])]
}

/** @returns ISO 8601, UTC. @throws CliError (usage) */
function parseExpiry(text: string, nowMs: number): string {
  const days = /^(\d{1,5})d$/.exec(text)?.[1]
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const ms = days !== undefined ? nowMs + Number(days) * DAY_MS : isDate ? Date.parse(text) : NaN
  if (!(ms > nowMs)) {
    throw usageError(
      `--expires ${JSON.stringify(text)} must be a date or a time to come, or days such as 90d`,
    )
  }
  return new Date(ms).toISOString()
}

/**
 * All of it or nothing: whoever reads the file meanwhile sees the old one or the new one. The file that is
 * renamed into its place is also the lock against another one who adds.
 */
async function addToFile(given: string, entry: TokenEntry): Promise<void> {
  const path = await realpath(given).catch(() => given)
  const next = `${path}.new`
  let handle
  try {
    handle = await open(next, 'wx', OWNER_ONLY)
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    const fix = isThere ? 'another one is adding a token; if not, remove it' : 'check --file'
    throw new CliError(EXIT.failure, `${next} can't be made (${messageOf(error)}): ${fix}`, error)
  }
  try {
    const before = await stat(path).catch(() => undefined)
    const added = withEntry(before === undefined ? '' : await readFile(path, 'utf8'), entry)
    if (added.kind === 'refused') throw usageError(`${given} can't take it: ${added.reason}`)
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

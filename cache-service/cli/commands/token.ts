import { InvalidArgumentError } from 'commander'
import { messageOf } from '../../../shared/errors.ts'
import { parseTokens, SCOPES, type ApiToken, type TokenScope } from '../../http/tokens.ts'
import { CliError, usageError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { addRowOptions } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'
import { entryOf, withEntry, withoutEntry } from './token-entry.ts'
import { editTokensFile } from './tokens-file.ts'

type CreateOptions = {
  readonly name: string
  readonly scope?: readonly TokenScope[]
  readonly expires?: string
  readonly file?: string
}

const TOKEN_BYTES = 32
const DAY_MS = 86_400_000
const NAME = /^[\w.@-]{1,64}$/

export function registerTokenCommand({ program, perform }: Cli): void {
  const token = program
    .command('token')
    .description('create, list and revoke the tokens of the API')
    .addHelpText(
      'after',
      examples(
        ['cache-cli token create --name dashboard', 'create a token with the scope read'],
        ['cache-cli token list', 'list the tokens in API_TOKENS_FILE'],
        ['cache-cli token revoke dashboard', 'ask, and revoke a token'],
      ),
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
  addRowOptions(token.command('list'), TOKEN_COLUMNS)
    .description('list the tokens in a file, with their scopes and expiry')
    .option('--file <file>', 'file of the tokens; default: API_TOKENS_FILE')
    .addHelpText(
      'after',
      examples(['cache-cli token list --file tokens.jsonl', 'list the tokens in this file']),
    )
    .action((options: FileOption & RowChoice<TokenRow>) =>
      perform((session) => list(session, tokensFile(session, options.file), options)),
    )
  token
    .command('revoke')
    .description('remove a token from a file: a running API rejects it within seconds')
    .argument('<name>', 'name of the token, as token list shows it')
    .option('--file <file>', 'file of the tokens; default: API_TOKENS_FILE')
    .option('-y, --yes', 'do not ask for confirmation')
    .addHelpText(
      'after',
      examples(
        ['cache-cli token revoke dashboard', 'ask, and remove the token from API_TOKENS_FILE'],
        ['cache-cli token revoke ci --file tokens.jsonl --yes', 'remove it from this file, from a script'],
      ),
    )
    .action((name: string, options: FileOption & { readonly yes?: true }) =>
      perform((session) => revoke(session, name, tokensFile(session, options.file), options.yes === true)),
    )
}

type FileOption = { readonly file?: string }

const TOKEN_COLUMNS: readonly Column<TokenRow>[] = [
  { name: 'name', cell: (row) => row.name },
  { name: 'scopes', cell: (row) => row.scopes.join() },
  { name: 'expires', cell: (row) => row.expires },
  { name: 'status', cell: (row) => row.status, tone: ({ status }) => (status === 'valid' ? 'good' : 'bad') },
]

type TokenRow = {
  readonly name: string
  readonly scopes: readonly TokenScope[]
  readonly expires: string | null
  readonly status: 'valid' | 'expired'
}

/** @throws CliError (usage) */
function tokensFile({ context }: Session, file: string | undefined): string {
  const path = file ?? context.env['API_TOKENS_FILE'] ?? ''
  if (path === '') throw usageError('name the file of the tokens with --file, or set API_TOKENS_FILE')
  return path
}

async function list(session: Session, path: string, choice: RowChoice<TokenRow>): Promise<void> {
  const nowMs = session.context.now()
  const rows = readTokens(session, path).map(({ expiresAtMs, name, scopes }): TokenRow => {
    const isExpired = expiresAtMs !== undefined && expiresAtMs <= nowMs
    return {
      name,
      scopes,
      expires: expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString(),
      status: isExpired ? 'expired' : 'valid',
    }
  })
  await session.output.rows(TOKEN_COLUMNS, rows, choice)
}

async function revoke(session: Session, name: string, path: string, yes: boolean): Promise<void> {
  const tokens = readTokens(session, path)
  if (!tokens.some((token) => token.name === name)) {
    throw new CliError(
      EXIT.notFound,
      `${path} has no token named ${JSON.stringify(name)}: token list shows all`,
    )
  }
  await session.confirm(`Revoke the token ${name}? Its client can no longer use the API.`, yes)
  await editTokensFile(path, (text) => withoutEntry(text, name))
  session.info(`Removed from ${path}: a running API rejects the token within seconds.`)
}

/** @throws CliError (usage) */
function readTokens({ context }: Session, path: string): readonly ApiToken[] {
  let text: string
  try {
    text = context.readFile(path)
  } catch (error) {
    throw usageError(`${path} can't be read (${messageOf(error)}): check --file or API_TOKENS_FILE`)
  }
  const parsed = parseTokens(text)
  if (parsed.kind === 'ok') return parsed.tokens
  throw usageError(`${path} is not a list of tokens (${parsed.reason}): check --file or API_TOKENS_FILE`)
}

async function create(
  session: Session,
  { expires, file, name, scope = ['read'] }: CreateOptions,
): Promise<void> {
  const token = session.context.randomBytes(TOKEN_BYTES).toString('base64url')
  const until = expires === undefined ? undefined : parseExpiry(expires, session.context.now())
  const entry = entryOf(token, name, scope, until)
  if (file !== undefined) await editTokensFile(file, (text) => withEntry(text, entry))
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

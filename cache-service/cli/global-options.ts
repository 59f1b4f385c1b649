import { InvalidArgumentError, Option, type Command } from 'commander'
import { messageOf } from '../../shared/errors.ts'
import { usageError } from './cli-error.ts'
import { FORMATS, type Format } from './terminal/output.ts'

/** The options of every command; they may precede or follow the command. */
export type GlobalOptions = {
  /** undefined: as the name of `output` suggests. */
  readonly format?: Format
  readonly output?: string
  readonly quiet?: true
  readonly verbose?: true
  /** false: `--no-color`. */
  readonly color: boolean
  readonly api?: string
  readonly tokenFile?: string
}

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option(
        '-f, --format <format>',
        'format of the results; default: as the extension of --output suggests, or else table',
      ).choices(FORMATS),
    )
    .option(
      '-o, --output <file>',
      'write the results to this file, and replace it when the command has succeeded',
    )
    .addOption(new Option('-q, --quiet', 'print only results and errors').conflicts('verbose'))
    .option('-v, --verbose', 'print debug details and stack traces')
    .option('--no-color', 'disable colors (as the variable NO_COLOR does)')
    .option(
      '--api <url>',
      'URL of an API to query instead of Redis, such as http://127.0.0.1:5011; default: CACHE_API_URL',
      parseApiUrl,
    )
    .option('--token-file <file>', 'file that contains the token for the API; default: CACHE_API_TOKEN_FILE')
}

/** The API to query, and who named it. */
export type ApiAddress = { readonly url: string; readonly from: '--api' | 'CACHE_API_URL' }

/**
 * The API of `--api`, or otherwise of the environment.
 *
 * @throws CliError (usage) for an invalid CACHE_API_URL.
 */
export function apiAddress(
  { api }: GlobalOptions,
  env: Readonly<Record<string, string | undefined>>,
): ApiAddress | undefined {
  if (api !== undefined) return { url: api, from: '--api' }
  const url = env['CACHE_API_URL'] ?? ''
  if (url === '') return undefined
  try {
    return { url: parseApiUrl(url), from: 'CACHE_API_URL' }
  } catch (error) {
    throw usageError(`CACHE_API_URL is invalid. ${messageOf(error)}`)
  }
}

/**
 * Refuses options that would have no effect. CACHE_API_URL and CACHE_API_TOKEN_FILE may: one environment serves all commands.
 *
 * @throws CliError (usage)
 */
export function assertApiOptions(
  { api, tokenFile }: GlobalOptions,
  env: Readonly<Record<string, string | undefined>>,
  canUseApi: boolean,
): void {
  if (!canUseApi && api !== undefined) throw usageError('this command does not query an API: omit --api')
  if (!canUseApi && tokenFile !== undefined)
    throw usageError('this command does not query an API: omit --token-file')
  if (tokenFile !== undefined && (api ?? env['CACHE_API_URL'] ?? '') === '')
    throw usageError('--token-file is only used with an API: add --api, or set CACHE_API_URL')
}

function parseApiUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:5011.')
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError(
      'It must not contain a password: use --token-file or CACHE_API_TOKEN_FILE for a token.',
    )
  }
  return url.href.replace(/\/+$/, '')
}

/** Parses a whole number from `minimum` to `maximum`, for an option or an argument. */
export function wholeNumber(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d{1,16}$/.test(text) && value >= minimum && value <= maximum) return value
    const range =
      maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
    throw new InvalidArgumentError(`It must be a whole number ${range}.`)
  }
}

/** Collects the values of a repeatable option. */
export function collect(text: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), text]
}

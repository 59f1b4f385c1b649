import { InvalidArgumentError, Option, type Command } from 'commander'
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
      'URL of an API to query instead of Redis, such as http://127.0.0.1:5011',
      parseApiUrl,
    )
    .option('--token-file <file>', 'file that contains the token for --api')
}

function parseApiUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:5011.')
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('It must not contain a password: use --token-file for a token.')
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

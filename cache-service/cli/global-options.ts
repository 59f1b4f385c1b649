import { InvalidArgumentError, Option, type Command } from 'commander'
import { FORMATS, type Format } from './terminal/output.ts'

/** Of every command; they may stand before it or after it. */
export type GlobalOptions = {
  readonly format: Format
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
    .addOption(new Option('-f, --format <format>', 'of the results').choices(FORMATS).default('table'))
    .option('-o, --output <file>', 'write the results there instead of to stdout')
    .addOption(new Option('-q, --quiet', 'results and errors only').conflicts('verbose'))
    .option('-v, --verbose', 'say what is done, and show the stack of an error')
    .option('--no-color', 'no colours, also on a terminal (as the variable NO_COLOR)')
    .option('--api <url>', 'ask this API instead of Redis, such as http://127.0.0.1:5011', parseApiUrl)
    .option('--token-file <file>', 'a file that holds the token for --api')
}

function parseApiUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be an address such as http://127.0.0.1:5011.')
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('It must hold no password: a token comes by --token-file.')
  }
  return url.href.replace(/\/+$/, '')
}

/** A whole number from `least` to `most`, for an option or an argument. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d{1,16}$/.test(text) && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It must be a whole number, ${range}.`)
  }
}

/** For an option that may be given several times. */
export function several(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

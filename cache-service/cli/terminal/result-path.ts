import { usageError } from '../cli-error.ts'
import { FORMATS, type Format } from './output.ts'

const EXTENSIONS: Readonly<Record<string, Format>> = {
  csv: 'csv',
  json: 'json',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  yaml: 'yaml',
  yml: 'yaml',
}

/** Not opened again: a second position in the file behind it would overwrite what others have written to it. */
const STDOUT = ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']

/**
 * The file of `--output`; undefined: stdout.
 *
 * @throws CliError (usage) for the name of a format: `-o json` means `-f json`.
 */
export function resultPath(output: string | undefined): string | undefined {
  if (output === undefined || STDOUT.includes(output)) return undefined
  if (output === '') throw usageError('--output needs the name of a file')
  if (FORMATS.some((format) => format === output)) {
    throw usageError(
      `--output names a file: use --format ${output}, or --output ./${output} for a file of this name`,
    )
  }
  return output
}

/** @param format as given by `--format`. */
export function formatOf(format: Format | undefined, path: string | undefined): Format {
  const extension = /\.(\w+)$/.exec(path ?? '')?.[1]?.toLowerCase() ?? ''
  return format ?? EXTENSIONS[extension] ?? 'table'
}

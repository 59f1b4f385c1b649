import type { Option } from './options.ts'
import type { ConfigProblem } from './problems.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Returns the text of a file, or throws. */
export type ReadFile = (path: string) => string

/** Where the text of one option comes from. `shown` is the part that may be quoted. */
export type Source =
  | { kind: 'unset' }
  | { kind: 'given'; text: string; shown: string }
  | { kind: 'unusable'; problem: ConfigProblem }

export function readSource(option: Option, env: Environment, readFile: ReadFile): Source {
  switch (option.kind) {
    case 'plain': {
      const text = trimmed(env[option.name])
      if (isQuoted(text)) return quoted(option, text)
      return text === '' ? { kind: 'unset' } : { kind: 'given', text, shown: text }
    }
    case 'path': {
      const path = trimmed(env[option.name])
      if (isQuoted(path)) return quoted(option, path)
      return path === '' ? { kind: 'unset' } : fromFile(option, option.name, path, readFile)
    }
    case 'secret': {
      const text = env[option.name] ?? ''
      const fileVariable = `${option.name}_FILE`
      const path = trimmed(env[fileVariable])
      if (text !== '' && path !== '') {
        const message = `and ${fileVariable} are both set`
        return unusable(option, option.name, message, 'Unset one of them.')
      }
      if (path !== '') return fromFile(option, fileVariable, path, readFile)
      return text === '' ? { kind: 'unset' } : { kind: 'given', text, shown: '' }
    }
  }
}

const READ_FIX = 'Check that the file is mounted and that the user of this process may read it.'
const READ_FIXES: Readonly<Record<string, string>> = {
  ENOENT: 'Correct the path, or mount the file there.',
  EACCES: 'Let the user of this process read the file.',
  EISDIR: 'Name the file, not a directory. Docker creates a directory if the file to mount does not exist.',
}

function fromFile(option: Option, variable: string, path: string, readFile: ReadFile): Source {
  let text: string
  try {
    text = readFile(path).replace(/\r?\n$/, '')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const reason = code === '' ? '' : ` (${code})`
    const message = `names a file that can't be read: ${path}${reason}`
    return unusable(option, variable, message, READ_FIXES[code] ?? READ_FIX)
  }
  if (text !== '') return { kind: 'given', text, shown: path }
  return unusable(
    option,
    variable,
    `names an empty file: ${path}`,
    'Write the value to the file, or unset the variable.',
  )
}

function unusable(option: Option, variable: string, message: string, fix: string): Source {
  return { kind: 'unusable', problem: { variable, message, description: option.description, fix } }
}

/** `docker run --env-file` and systemd pass on quotes that a shell or Compose would remove. */
export function isQuoted(text: string): boolean {
  return text.length >= 2 && /^(["']).*\1$/s.test(text)
}

function quoted(option: Option, text: string): Source {
  return unusable(
    option,
    option.name,
    `begins and ends with a quote: ${text}`,
    'Remove the quotes; they would be part of the value.',
  )
}

function trimmed(text: string | undefined): string {
  return (text ?? '').trim()
}

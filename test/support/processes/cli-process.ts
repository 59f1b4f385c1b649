import { spawn } from 'node:child_process'
import { repository } from '../repository.ts'
import { assertNoSecrets } from './secrets.ts'
import { INHERITED } from './service-process.ts'

/** `cache-cli <args>` as a process, with pipes that a test can close, and signals. */
export type CliProcess = {
  readonly output: string
  readonly errors: string
  /** Writes input without ending it. */
  write(text: string): void
  kill(signal: NodeJS.Signals): void
  /** Stops reading, as `head` does after enough lines. */
  closeOutput(): void
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | NodeJS.Signals>
}

/** @param command a shell command that can call `cache-cli`, or the arguments of `cache-cli`. */
export function startCliProcess(
  command: string | readonly string[],
  env: Readonly<Record<string, string>>,
): CliProcess {
  const program = [
    process.execPath,
    '--disable-warning=TimeoutNegativeWarning',
    'cache-service/cli/main.ts',
  ] as const
  const [node, ...before] = program
  const options = { cwd: repository, env: { ...INHERITED, ...env } }
  const asFunction = `cache-cli() { ${program.map((word) => `'${word}'`).join(' ')} "$@"; }`
  const child =
    typeof command === 'string'
      ? spawn('bash', ['--norc', '-c', `${asFunction}; set -o pipefail; ${command}`], options)
      : spawn(node, [...before, ...command], options)
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const overdue = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const closed = Promise.withResolvers<number | NodeJS.Signals>()
  child.once('close', (code, signal) => {
    clearTimeout(overdue)
    closed.resolve(code ?? signal ?? 'SIGKILL')
  })
  const exit = closed.promise.then((outcome) => {
    assertNoSecrets('cache-cli', output + errors, env)
    return outcome
  })
  return {
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    write: (text) => void child.stdin.write(text),
    kill: (signal) => void child.kill(signal),
    closeOutput: () => void child.stdout.destroy(),
    exit,
  }
}

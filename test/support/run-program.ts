import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'

const REPOSITORY = join(import.meta.dirname, '..', '..')

export type ProgramResult = { readonly code: number; readonly output: string; readonly errors: string }

/** `cache-service <args>` with nothing but this environment, until it ends; killed after half a minute. */
export function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  return run('cache-service/main.ts', args, env)
}

/** `cache-cli <args>`, in the same way. */
export function runCliProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  return run('cache-service/cli/main.ts', args, env)
}

export type CliProcess = {
  /** What it has printed until now. */
  readonly output: string
  readonly errors: string
  /** Ctrl-C. */
  interrupt(): void
  /** Nobody reads its output any more. */
  closeOutput(): void
  readonly ended: Promise<ProgramResult>
}

/** `cache-cli <args>`, to do something with while it runs; killed after half a minute. */
export function startCliProcess(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  const child = spawn(process.execPath, [NO_WARNING, 'cache-service/cli/main.ts', ...args], {
    cwd: REPOSITORY,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const { promise: ended, resolve } = Promise.withResolvers<ProgramResult>()
  child.once('close', (code) => resolve({ code: code ?? NaN, output, errors }))
  return {
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    interrupt: () => void child.kill('SIGINT'),
    closeOutput: () => void child.stdout.destroy(),
    ended,
  }
}

const NO_WARNING = '--disable-warning=TimeoutNegativeWarning'

function run(
  main: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  const { promise, resolve } = Promise.withResolvers<ProgramResult>()
  execFile(
    process.execPath,
    [NO_WARNING, main, ...args],
    {
      cwd: REPOSITORY,
      env: { PATH: process.env['PATH'] ?? '', ...env },
      timeout: 30_000,
      killSignal: 'SIGKILL',
    },
    (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : NaN
      resolve({ code, output, errors })
    },
  )
  return promise
}

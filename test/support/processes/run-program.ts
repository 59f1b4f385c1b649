import { execFile } from 'node:child_process'
import { repository } from '../repository.ts'
import { assertNoSecrets } from './secrets.ts'
import { INHERITED } from './service-process.ts'

export type ProgramResult = { readonly code: number; readonly output: string; readonly errors: string }

/** Runs `cache-service <args>` to its end, with only the given environment; kills it after a minute. */
export function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  return run('cache-service/main.ts', args, env)
}

/** Runs `cache-cli <args>` in the same way. */
export function runCliProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  return run('cache-service/cli/main.ts', args, env)
}

async function run(
  main: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ProgramResult> {
  const { promise, resolve } = Promise.withResolvers<ProgramResult>()
  execFile(
    process.execPath,
    ['--disable-warning=TimeoutNegativeWarning', main, ...args],
    {
      cwd: repository,
      env: { ...INHERITED, ...env },
      timeout: 60_000,
      killSignal: 'SIGKILL',
    },
    (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : NaN
      resolve({ code, output, errors })
    },
  )
  const result = await promise
  assertNoSecrets(main, result.output + result.errors, env)
  return result
}

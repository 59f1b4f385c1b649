import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'
import { openServerFolder } from '../servers/server-process.ts'
import { assertNoSecrets } from './secrets.ts'

// What all roles have in common when a test runs them as real processes.

/** The Node flags of `npm start` in a checkout. */
export function startFlags(folder: string = repository): string[] {
  const { scripts }: { scripts: { start: string } } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}

/**
 * All that the processes of a test inherit. They keep their compiled code: the suite starts some hundred of them, and each
 * would need a second of processor time for its TypeScript.
 */
export const INHERITED: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '',
  NODE_COMPILE_CACHE: join(repository, '.cache', 'compiled'),
}

/** Of the output of one process; the end is kept. */
const MAX_KEPT_OUTPUT_BYTES = 4 * 1024 * 1024
const STOP_WITHIN_MS = 30_000

export type ServiceProcess = {
  readonly pid: number
  /** stdout so far. */
  readonly output: string
  readonly errors: string
  readonly isRunning: boolean
  kill(signal: NodeJS.Signals): void
  /** The exit code, or the signal's name. Rejects if the process has printed a secret. */
  readonly exit: Promise<number | NodeJS.Signals>
  /** Sends SIGTERM and waits for the exit. Sends SIGKILL after 30 s. */
  stop(): Promise<number | NodeJS.Signals>
}

/** Which checkout of the service to run, and how. */
export type ServiceProgram = { readonly folder: string; readonly nodeFlags: readonly string[] }

/** @param folder another checkout with its packages installed, such as the release before. */
export function programAt(folder: string = repository): ServiceProgram {
  return { folder, nodeFlags: startFlags(folder) }
}

/** @param release called when the process has exited, before `exit` resolves. */
export function startServiceProcess(
  role: string,
  env: Readonly<Record<string, string>>,
  release: () => Promise<unknown>,
  program: ServiceProgram = programAt(),
): ServiceProcess {
  const child = spawn(process.execPath, [...program.nodeFlags, 'cache-service/main.ts', role], {
    cwd: program.folder,
    env: { ...INHERITED, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-MAX_KEPT_OUTPUT_BYTES)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-MAX_KEPT_OUTPUT_BYTES)
  })
  // The guard kills it when this process ends, even by SIGKILL.
  const guarded = openServerFolder(`test-${role}`)
  const pidPath = join(guarded.path, 'pid')
  if (child.pid !== undefined) writeFileSync(pidPath, String(child.pid))
  child.once('exit', () => rmSync(pidPath, { force: true }))
  const closed = Promise.withResolvers<number | NodeJS.Signals>()
  child.once('close', (code, signal) => closed.resolve(code ?? signal ?? 'SIGKILL'))
  const exit = closed.promise.then(async (outcome) => {
    await Promise.all([guarded.remove(), release()])
    assertNoSecrets(`the ${role} ${child.pid}`, output + errors, env)
    return outcome
  })
  return {
    pid: child.pid ?? 0,
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    get isRunning() {
      return child.exitCode === null && child.signalCode === null
    },
    kill: (signal) => void child.kill(signal),
    exit,
    async stop() {
      child.kill('SIGTERM')
      const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
      try {
        return await exit
      } finally {
        clearTimeout(overdue)
      }
    },
  }
}

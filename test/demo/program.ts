import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openServerFolder } from '../support/servers/server-process.ts'
import { repository } from '../support/repository.ts'

const STOP_WITHIN_MS = 25_000

export type ProgramOptions = {
  name: string
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Called if the program ends before `stop`. */
  onEarlyExit(error: ProgramFailed): void
}

/** One of our programs as a process. Ctrl-C reaches it only through us, and it does not outlive us. */
export type Program = {
  readonly name: string
  readonly pid: number
  readonly logPath: string
  readonly log: string
  /** Sends SIGTERM; rejects unless the program then exits with 0. Safe to call twice. */
  stop(): Promise<void>
  /** Removes the log of a stopped program. */
  remove(): Promise<void>
}

export class ProgramFailed extends Error {
  override name = 'ProgramFailed'
}

export async function startProgram({ name, args, env, onEarlyExit }: ProgramOptions): Promise<Program> {
  const folder = openServerFolder(`demo-${name}`)
  const logPath = join(folder.path, `${name}.log`)
  const logFile = openSync(logPath, 'a')
  const child = spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', ...args], {
    cwd: repository,
    env: { ...environmentOfAnyProgram(), ...env },
    detached: true,
    stdio: ['ignore', logFile, logFile],
  })
  closeSync(logFile)
  try {
    await once(child, 'spawn')
  } catch (error) {
    await folder.remove()
    throw error
  }
  const pid = child.pid ?? 0
  writeFileSync(join(folder.path, 'pid'), String(pid))
  let stopping: Promise<void> | undefined
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(signal ?? `exit code ${code}`)
      if (stopping === undefined) {
        onEarlyExit(new ProgramFailed(`The ${name} ended unexpectedly (${signal ?? `exit code ${code}`}).`))
      }
    })
  })

  function readLog(): string {
    return readFileSync(logPath, 'utf8')
  }

  async function terminate(): Promise<void> {
    const waiting = new AbortController()
    child.kill('SIGTERM')
    const overdue = sleep(STOP_WITHIN_MS, 'overdue', { signal: waiting.signal }).catch(() => 'overdue')
    const end = await Promise.race([exited, overdue])
    waiting.abort()
    if (end === 'overdue') {
      child.kill('SIGKILL')
      await exited
      throw new ProgramFailed(`The ${name} did not stop within ${STOP_WITHIN_MS / 1000} s of SIGTERM.`)
    }
    // Before its first log line a program handles no signals yet, and has nothing to finish.
    if (end === 'SIGTERM' && readLog() === '') return
    if (end !== 'exit code 0') throw new ProgramFailed(`The ${name} did not stop cleanly (${end}).`)
  }

  return {
    name,
    pid,
    logPath,
    get log() {
      return readLog()
    },
    stop: () => (stopping ??= terminate()),
    remove: () => folder.remove(),
  }
}

// Without the KAFKA_… and REDIS_… variables of the caller: they may belong to another platform.
function environmentOfAnyProgram(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ']
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}

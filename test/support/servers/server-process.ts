import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TlsFiles } from './tls-certificates.ts'

// A server must never outlive this process, not even if that is killed with SIGKILL. So each server's folder has a
// guard: a shell that waits for the end of a pipe that only this process holds, then kills the process named in
// <folder>/pid and removes the folder. Both run in their own sessions, so that Ctrl-C reaches only this process.
const GUARD = `
cat > /dev/null
if [ -f "$1/pid" ]; then kill -9 "$(cat "$1/pid")" 2> /dev/null; fi
rm -rf "$1"
`

export type ServerFolder = { path: string; remove(): Promise<void> }

export function openServerFolder(prefix: string): ServerFolder {
  const path = mkdtempSync(join(tmpdir(), `${prefix}-`))
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', path], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', () => undefined)
  guard.stdin.on('error', () => undefined)
  guard.unref()
  return {
    path,
    remove: async () => {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 })
      if (guard.exitCode !== null || guard.signalCode !== null) return
      guard.ref()
      const gone = once(guard, 'exit')
      guard.stdin.end()
      await gone
    },
  }
}

/** A server that a test may break: what Kafka and Redis have in common. */
export type OwnServer = {
  readonly kind: 'native'
  readonly pid: number
  readonly isRunning: boolean
  readonly folder: string
  readonly log: string
  readonly tls: TlsFiles | undefined
  start(options?: { waitUntilReady?: boolean }): Promise<void>
  /** Resolves when the process has exited; immediately for SIGSTOP and SIGCONT. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Stops it with SIGTERM if it is running, then starts it again with the same port, folder and arguments. */
  restart(options?: { waitUntilReady?: boolean }): Promise<void>
}

export type ServerCommand = {
  name: string
  command: string
  args: readonly string[]
  folder: string
  readyTimeoutMs: number
  /** Resolves once the server answers; a rejection means "not yet". */
  checkReady(): Promise<void>
}

/** A server process that can be stopped, frozen, killed and started again. */
export class ServerProcess {
  readonly #server: ServerCommand
  readonly #logPath: string
  #child: ChildProcess | undefined

  constructor(server: ServerCommand) {
    this.#server = server
    this.#logPath = join(server.folder, 'server.log')
  }

  /** The pid of the current or last process. */
  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error(`${this.#server.name} has not been started`)
    return pid
  }

  get isRunning(): boolean {
    const child = this.#child
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  get log(): string {
    return readFileSync(this.#logPath, 'utf8')
  }

  async start({ waitUntilReady = true } = {}): Promise<void> {
    if (this.isRunning) throw new Error(`${this.#server.name} is already running`)
    const { command, args, folder } = this.#server
    const log = openSync(this.#logPath, 'a')
    const child = spawn(command, args, { cwd: folder, detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    let spawnError: Error | undefined
    child.once('error', (error) => (spawnError = error))
    const pidPath = join(folder, 'pid')
    if (child.pid !== undefined) writeFileSync(pidPath, String(child.pid))
    child.once('exit', () => rmSync(pidPath, { force: true }))
    if (waitUntilReady) await this.#waitUntilReady(() => spawnError)
  }

  /** Resolves when the process has exited; immediately for signals that do not end it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
    const gone = once(child, 'exit')
    child.kill(signal)
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
    const waiting = new AbortController()
    const overdue = sleep(30_000, 'overdue' as const, { signal: waiting.signal })
    overdue.catch(() => undefined)
    if ((await Promise.race([gone, overdue])) === 'overdue') {
      child.kill('SIGKILL')
      await gone
      throw new Error(`${this.#server.name} ignored ${signal} for 30 s:\n${this.#logTail()}`)
    }
    waiting.abort()
  }

  async restart(options?: { waitUntilReady?: boolean }): Promise<void> {
    await this.kill('SIGCONT')
    await this.kill('SIGTERM')
    await this.start(options)
  }

  async #waitUntilReady(spawnError: () => Error | undefined): Promise<void> {
    const { name, command, readyTimeoutMs, checkReady } = this.#server
    const deadline = performance.now() + readyTimeoutMs
    let notReady: unknown
    while (performance.now() < deadline) {
      if (spawnError() !== undefined)
        throw new Error(`${name}: cannot run ${command}`, { cause: spawnError() })
      if (!this.isRunning) throw new Error(`${name} exited while starting:\n${this.#logTail()}`)
      try {
        await checkReady()
        return
      } catch (error) {
        notReady = error
      }
      await sleep(25)
    }
    await this.kill('SIGKILL')
    throw new Error(`${name} was not ready after ${readyTimeoutMs / 1000} s:\n${this.#logTail()}`, {
      cause: notReady,
    })
  }

  #logTail(): string {
    return this.log.split('\n').slice(-40).join('\n')
  }
}

import { spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { repository } from '../repository.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics, type Sample } from './parse-metrics.ts'
import { MAX_KEPT_OUTPUT_BYTES, startFlags, stopProcess } from './service-process.ts'
import { openServerFolder } from '../servers/server-process.ts'

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string }

/** The worker as a real process, with its own port. */
export type WorkerProcess = {
  readonly pid: number
  readonly url: string
  /** Its output so far. */
  readonly output: string
  readonly errors: string
  logLines(): LogLine[]
  get(path: '/livez' | '/readyz' | '/metrics'): Promise<{ status: number; body: string }>
  /** The samples of one metric, named without the prefix; empty if it is absent. */
  metric(name: string): Promise<Sample[]>
  ready(timeoutMs?: number): Promise<void>
  /** The sum of messages_total: the number of records that it consumed. */
  consumed(): Promise<number>
  kill(signal: NodeJS.Signals): void
  readonly isRunning: boolean
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | NodeJS.Signals>
  /** Sends SIGTERM and waits for the exit. Sends SIGKILL after 30 s. */
  stop(): Promise<number | NodeJS.Signals>
}

/** Which checkout of the service to run, and how. */
export type WorkerProgram = { readonly folder: string; readonly nodeFlags: readonly string[] }

/** @param folder another checkout with its packages installed, such as the release before. */
export function programAt(folder: string = repository): WorkerProgram {
  return { folder, nodeFlags: startFlags(folder) }
}

export async function startWorker(
  env: Readonly<Record<string, string>>,
  program: WorkerProgram = programAt(),
): Promise<WorkerProcess> {
  const { port, release } = await reservePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, [...program.nodeFlags, 'cache-service/main.ts', 'worker'], {
    cwd: program.folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      METRICS_PORT: String(port),
      ...env,
    },
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
  const guarded = openServerFolder('test-worker')
  const pidPath = join(guarded.path, 'pid')
  if (child.pid !== undefined) writeFileSync(pidPath, String(child.pid))
  child.once('exit', () => rmSync(pidPath, { force: true }))
  const { promise: exit, resolve } = Promise.withResolvers<number | NodeJS.Signals>()
  child.once('close', (code, signal) => {
    void Promise.all([guarded.remove(), release()]).then(() => resolve(code ?? signal ?? 'SIGKILL'))
  })

  async function get(path: string) {
    const response = await fetch(url + path, { signal: AbortSignal.timeout(5_000) })
    return { status: response.status, body: await response.text() }
  }
  async function metric(name: string) {
    const samples = parseMetrics((await get('/metrics')).body)
    return samples.filter((sample) => sample.name === `cache_service_${name}`)
  }

  return {
    pid: child.pid ?? 0,
    url,
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    logLines: () =>
      output
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'))
        .map((line): LogLine => JSON.parse(line)),
    get,
    metric,
    ready: (timeoutMs = 30_000) =>
      eventually(
        async () => {
          const { status, body } = await get('/readyz')
          if (status !== 200) throw new Error(`not ready: ${body}`)
        },
        { timeoutMs, describe: 'the worker becomes ready' },
      ),
    consumed: async () => (await metric('messages_total')).reduce((sum, { value }) => sum + value, 0),
    kill: (signal) => void child.kill(signal),
    get isRunning() {
      return child.exitCode === null && child.signalCode === null
    },
    exit,
    stop: () => stopProcess(child, exit),
  }
}

import { spawn } from 'node:child_process'
import { eventually } from '../eventually.ts'
import { repository } from '../repository.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics } from './parse-metrics.ts'
import { MAX_KEPT_OUTPUT_BYTES, startFlags, stopProcess } from './service-process.ts'

/** A role as a real process, with its own ports. */
export type RoleProcess = {
  readonly pid: number
  /** The URL of the API; nothing listens there for other roles. */
  readonly apiUrl: string
  readonly output: string
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
  isReady(): Promise<boolean>
  kill(signal: NodeJS.Signals): void
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | NodeJS.Signals>
  /** Sends SIGTERM and waits for the exit. Sends SIGKILL after 30 s. */
  stop(): Promise<number | NodeJS.Signals>
}

export async function startRoleProcess(
  role: 'api' | 'kv-updater' | 'all',
  env: Readonly<Record<string, string>>,
): Promise<RoleProcess> {
  const [metrics, api] = [await reservePort(), await reservePort()]
  const child = spawn(process.execPath, [...startFlags(), 'cache-service/main.ts', role], {
    cwd: repository,
    env: {
      PATH: process.env['PATH'] ?? '',
      METRICS_PORT: String(metrics.port),
      PORT: String(api.port),
      LOG_LEVEL: 'DEBUG',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-MAX_KEPT_OUTPUT_BYTES)
    })
  }
  const killChild = () => child.kill('SIGKILL')
  process.once('exit', killChild)
  const { promise: exit, resolve } = Promise.withResolvers<number | NodeJS.Signals>()
  child.once('close', (code, signal) => {
    process.off('exit', killChild)
    void Promise.all([metrics.release(), api.release()]).then(() => resolve(code ?? signal ?? 'SIGKILL'))
  })
  const health = `http://127.0.0.1:${metrics.port}`
  return {
    pid: child.pid ?? 0,
    apiUrl: `http://127.0.0.1:${api.port}`,
    get output() {
      return output
    },
    async metric(name, labels = {}) {
      const samples = parseMetrics(await (await fetch(`${health}/metrics`)).text())
      return samples.find(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      )?.value
    },
    isReady: async () => (await fetch(`${health}/readyz`)).ok,
    kill: (signal) => void child.kill(signal),
    exit,
    stop: () => stopProcess(child, exit),
  }
}

/** Resolves when `/readyz` reports ready; on timeout the error shows the process's output. */
export async function becomesReady(role: RoleProcess): Promise<void> {
  await eventually(
    async () => {
      if (!(await role.isReady().catch(() => false))) throw new Error(role.output.slice(-2_000))
    },
    { timeoutMs: 30_000, describe: 'the process becomes ready' },
  )
}

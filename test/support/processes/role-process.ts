import { spawn } from 'node:child_process'
import { join } from 'node:path'
import packageFile from '../../../package.json' with { type: 'json' }
import { eventually } from '../eventually.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics } from './parse-metrics.ts'

const REPOSITORY = join(import.meta.dirname, '../../..')
const START_FLAGS = packageFile.scripts.start.split(' ').filter((word) => word.startsWith('--'))
const MAX_KEPT_BYTES = 4 * 1024 * 1024

/** Any role as a real process, on ports of its own. */
export type RoleProcess = {
  readonly pid: number
  /** Of the API; nobody is there if the role is another. */
  readonly apiUrl: string
  readonly output: string
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
  isReady(): Promise<boolean>
  kill(signal: NodeJS.Signals): void
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | NodeJS.Signals>
  /** SIGTERM, and the exit. SIGKILL if it is still there after half a minute. */
  stop(): Promise<number | NodeJS.Signals>
}

export async function startRoleProcess(
  role: 'api' | 'kv-updater',
  env: Readonly<Record<string, string>>,
): Promise<RoleProcess> {
  const [metrics, api] = [await reservePort(), await reservePort()]
  const child = spawn(process.execPath, [...START_FLAGS, 'cache-service/main.ts', role], {
    cwd: REPOSITORY,
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
      output = (output + text).slice(-MAX_KEPT_BYTES)
    })
  }
  const dieWithUs = () => child.kill('SIGKILL')
  process.once('exit', dieWithUs)
  const { promise: exit, resolve } = Promise.withResolvers<number | NodeJS.Signals>()
  child.once('close', (code, signal) => {
    process.off('exit', dieWithUs)
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
    async stop() {
      child.kill('SIGTERM')
      const overdue = setTimeout(() => child.kill('SIGKILL'), 30_000)
      const code = await exit
      clearTimeout(overdue)
      return code
    },
  }
}

/** Resolves when `/readyz` says so; the error shows what the process wrote. */
export async function becomesReady(role: RoleProcess): Promise<void> {
  await eventually(
    async () => {
      if (!(await role.isReady().catch(() => false))) throw new Error(role.output.slice(-2_000))
    },
    { timeoutMs: 30_000, describe: 'the process becomes ready' },
  )
}

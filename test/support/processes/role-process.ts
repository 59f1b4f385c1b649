import { patiently } from '../eventually.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics } from './parse-metrics.ts'
import { startServiceProcess } from './service-process.ts'

/** A role as a real process, with its own ports. */
export type RoleProcess = {
  readonly pid: number
  /** The URL of the API; nothing listens there for other roles. */
  readonly apiUrl: string
  readonly healthUrl: string
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
  role: 'api' | 'kv-updater' | 'lag-monitor' | 'all',
  env: Readonly<Record<string, string>>,
): Promise<RoleProcess> {
  const [metrics, api] = [await reservePort(), await reservePort()]
  const service = startServiceProcess(
    role,
    { METRICS_PORT: String(metrics.port), PORT: String(api.port), LOG_LEVEL: 'DEBUG', ...env },
    () => Promise.all([metrics.release(), api.release()]),
  )
  const health = `http://127.0.0.1:${metrics.port}`
  return {
    pid: service.pid,
    apiUrl: `http://127.0.0.1:${api.port}`,
    healthUrl: health,
    get output() {
      return service.output + service.errors
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
    kill: service.kill,
    exit: service.exit,
    stop: service.stop,
  }
}

/** Resolves when `/readyz` reports ready; on timeout the error shows the process's output. */
export async function becomesReady(role: RoleProcess): Promise<void> {
  await patiently(
    async () => {
      if (!(await role.isReady().catch(() => false))) throw new Error(role.output.slice(-2_000))
    },
    { describe: 'the process becomes ready' },
  )
}

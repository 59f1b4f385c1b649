import { eventually } from '../eventually.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics, type Sample } from './parse-metrics.ts'
import { startServiceProcess, type ServiceProcess, type ServiceProgram } from './service-process.ts'

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string }

/** The worker as a real process, with its own port. */
export type WorkerProcess = ServiceProcess & {
  readonly url: string
  logLines(): LogLine[]
  get(path: '/livez' | '/readyz' | '/metrics'): Promise<{ status: number; body: string }>
  /** The samples of one metric, named without the prefix; empty if it is absent. */
  metric(name: string): Promise<Sample[]>
  ready(timeoutMs?: number): Promise<void>
  /** The sum of messages_total: the number of records that it consumed. */
  consumed(): Promise<number>
}

/** @param role `all`: a worker that is an API and a kv-updater as well. */
export async function startWorker(
  env: Readonly<Record<string, string>>,
  program?: ServiceProgram,
  role: 'worker' | 'all' = 'worker',
): Promise<WorkerProcess> {
  const { port, release } = await reservePort()
  const url = `http://127.0.0.1:${port}`
  const service = startServiceProcess(role, { METRICS_PORT: String(port), ...env }, release, program)

  async function get(path: string) {
    const response = await fetch(url + path, { signal: AbortSignal.timeout(5_000) })
    return { status: response.status, body: await response.text() }
  }
  async function metric(name: string) {
    const samples = parseMetrics((await get('/metrics')).body)
    return samples.filter((sample) => sample.name === `cache_service_${name}`)
  }

  return {
    pid: service.pid,
    url,
    get output() {
      return service.output
    },
    get errors() {
      return service.errors
    },
    logLines: () =>
      service.output
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'))
        .map((line): LogLine => JSON.parse(line)),
    get,
    metric,
    ready: (timeoutMs = 90_000) =>
      eventually(
        async () => {
          const { status, body } = await get('/readyz')
          if (status !== 200) throw new Error(`not ready: ${body}`)
        },
        { timeoutMs, describe: 'the worker becomes ready' },
      ),
    consumed: async () => (await metric('messages_total')).reduce((sum, { value }) => sum + value, 0),
    kill: service.kill,
    get isRunning() {
      return service.isRunning
    },
    exit: service.exit,
    stop: service.stop,
  }
}

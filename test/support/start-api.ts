import { parseConfig, formatProblems } from '../../cache-service/config.ts'
import { runApi } from '../../cache-service/roles/api.ts'
import { createLogger } from '../../cache-service/telemetry/logger.ts'
import { eventually } from './eventually.ts'
import { reservePort } from './free-port.ts'
import { parseMetrics } from './parse-metrics.ts'

/** The role `api` in this process, on ports of its own. */
export type RunningApi = {
  readonly url: string
  readonly metricsUrl: string
  /** Everything that it logged so far. */
  readonly log: string
  /** The value of one series, without the prefix of its name; undefined: there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
  /** Resolves when it has ended; rejects with what ended it. */
  stop(): Promise<void>
}

/** Resolves when it listens; not before Redis answers, unless told so. */
export async function startApi(
  env: Readonly<Record<string, string>>,
  { waitUntilReady = true } = {},
): Promise<RunningApi> {
  const ports = [await reservePort(), await reservePort()] as const
  const parsed = parseConfig(
    { PORT: String(ports[0].port), METRICS_PORT: String(ports[1].port), ...env },
    (path) => {
      throw new Error(`no file should be read: ${path}`)
    },
  )
  if (parsed.kind === 'invalid') throw new Error(formatProblems(parsed.problems))
  let log = ''
  const stop = new AbortController()
  const context = {
    config: parsed.config,
    log: createLogger('debug', { write: (line) => void (log += line) }),
    version: '0.0.0',
    nodeVersion: process.version,
    processId: `test-${ports[0].port}`,
    stop: stop.signal,
  }
  let failure: unknown
  const running = runApi(context).catch((error: unknown) => {
    failure = error ?? new Error('it ended')
    throw error
  })
  running.catch(() => undefined)
  const url = `http://127.0.0.1:${ports[0].port}`
  const metricsUrl = `http://127.0.0.1:${ports[1].port}`
  const end = async () => {
    stop.abort()
    try {
      await running
    } finally {
      await Promise.all(ports.map(({ release }) => release()))
    }
  }
  const answer = await eventually(
    async () => {
      if (failure !== undefined) return 'failed'
      const { status } = await fetch(url + (waitUntilReady ? '/readyz' : '/livez'))
      if (status !== 200) throw new Error(`/readyz says ${status}`)
      return 'ready'
    },
    { describe: 'the api answers' },
  )
  if (answer === 'failed') await end()
  return {
    url,
    metricsUrl,
    get log() {
      return log
    },
    async metric(name, labels = {}) {
      const samples = parseMetrics(await (await fetch(`${metricsUrl}/metrics`)).text())
      const found = samples.find(
        (sample) =>
          sample.name === `cache_service_${name}` &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      )
      return found?.value
    },
    stop: end,
  }
}

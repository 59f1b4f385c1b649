import { parseConfig } from '../../../cache-service/config/config.ts'
import type { OpenRole } from '../../../cache-service/roles/process-parts.ts'
import { runRoles } from '../../../cache-service/roles/run-roles.ts'
import { createLogger } from '../../../cache-service/telemetry/logger.ts'
import { reservePort } from '../servers/free-port.ts'
import { parseMetrics } from './parse-metrics.ts'
import { assertNoSecrets } from './secrets.ts'
import { uniqueName } from '../test-scope.ts'

export type RoleLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string }

/** A role that runs in this process, with its own configuration, log and health server. */
export type RoleRun = {
  readonly url: string
  readonly processId: string
  lines(): RoleLine[]
  /** The value of a metric with these labels; undefined if it is absent. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
  isReady(): Promise<boolean>
  /** Stops the role, and waits until it has ended. Rejects if it has logged a secret. */
  stop(): Promise<void>
  readonly ended: Promise<void>
}

export async function startRole(role: OpenRole, env: Readonly<Record<string, string>>): Promise<RoleRun> {
  const { port, release } = await reservePort()
  const parsed = parseConfig({ METRICS_PORT: String(port), LOG_LEVEL: 'DEBUG', ...env }, () => '')
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.problems))
  const texts: string[] = []
  const stop = new AbortController()
  const processId = uniqueName('process')
  const context = {
    config: parsed.config,
    log: createLogger(parsed.config.process.logLevel, { write: (text) => void texts.push(text) }),
    version: '0.0.0-test',
    nodeVersion: process.version,
    processId,
    stop: stop.signal,
  }
  const ended = runRoles(context, 'test', [role])
  ended.catch(() => undefined) // callers that await `ended` receive the error
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    processId,
    ended,
    lines: () => texts.map((text): RoleLine => JSON.parse(text)),
    async metric(name, labels = {}) {
      const samples = parseMetrics(await (await fetch(`${url}/metrics`)).text())
      return samples.find(
        (sample) =>
          sample.name === `cache_service_${name}` &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      )?.value
    },
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
    async stop() {
      stop.abort()
      try {
        await ended
      } finally {
        await release()
        assertNoSecrets('the role', texts.join(''), env)
      }
    },
  }
}

import { fastify } from 'fastify'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import { readiness, type ReadinessCheck } from '../lifecycle/readiness.ts'
import { listen } from './listen.ts'

export type MetricsSource = { readonly contentType: string; metrics(): Promise<string> }

export type HealthServerDependencies = {
  readonly monitor: LoopMonitor
  readonly checks: readonly ReadinessCheck[]
  readonly metrics: MetricsSource
}

export type HealthServer = {
  /** Its address, such as `http://127.0.0.1:9464`. */
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves `/livez`, `/readyz` and `/metrics` to the orchestrator and Prometheus, in every role.
 * Rejects with an OperatorError if it cannot listen on the address.
 */
export async function openHealthServer(
  host: string,
  port: number,
  { monitor, checks, metrics }: HealthServerDependencies,
): Promise<HealthServer> {
  const server = fastify({ forceCloseConnections: true })

  server.get('/livez', async (_request, reply) => {
    const stuck = monitor.stuck()
    return reply.code(stuck.length === 0 ? 200 : 503).send({ alive: stuck.length === 0, stuck })
  })
  server.get('/readyz', async (_request, reply) => {
    const state = readiness(checks)
    return reply.code(state.ready ? 200 : 503).send(state)
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  )
  server.setNotFoundHandler(async (_request, reply) =>
    reply.code(404).send({ error: 'not found', routes: ['/livez', '/readyz', '/metrics'] }),
  )

  const url = await listen(server, 'METRICS_HOST:METRICS_PORT', { host, port })
  return { url, close: () => server.close() }
}

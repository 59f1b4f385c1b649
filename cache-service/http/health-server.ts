import { fastify } from 'fastify'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'
import { listen, REQUEST_TIMEOUT_MS } from './listen.ts'
import { livenessReply, readinessReply } from './probe-replies.ts'

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
  const server = fastify({
    forceCloseConnections: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: REQUEST_TIMEOUT_MS },
  })

  server.get('/livez', async (_request, reply) => {
    const { body, status } = livenessReply(monitor)
    return reply.code(status).send(body)
  })
  server.get('/readyz', async (_request, reply) => {
    const { body, status } = readinessReply(checks)
    return reply.code(status).send(body)
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

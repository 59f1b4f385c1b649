import { z } from 'zod'
import type { LoopMonitor } from '../../lifecycle/loops.ts'
import type { ReadinessCheck } from '../../lifecycle/readiness.ts'
import type { ApiServer } from '../api-server-types.ts'
import { livenessReply, readinessReply } from '../probe-replies.ts'

export type ProbePorts = { readonly monitor: LoopMonitor; readonly checks: readonly ReadinessCheck[] }

const liveSchema = z.object({ alive: z.boolean(), stuck: z.array(z.string()) })
const readySchema = z.object({ ready: z.boolean(), reasons: z.array(z.string()) })

/** `/livez` and `/readyz` on PORT as well as on METRICS_PORT. Here they cover the api alone, not the other roles of the process. */
export function registerProbeRoutes(server: ApiServer, { monitor, checks }: ProbePorts): void {
  server.get(
    '/livez',
    {
      config: { scope: 'public', probe: true },
      schema: {
        tags: ['health'],
        operationId: 'getLiveness',
        summary: 'Liveness: are the internal loops of the process running?',
        response: { 200: liveSchema, 503: liveSchema },
      },
    },
    async (_request, reply) => {
      const { body, status } = livenessReply(monitor)
      return await reply.code(status).send(body)
    },
  )
  server.get(
    '/readyz',
    {
      config: { scope: 'public', probe: true },
      schema: {
        tags: ['health'],
        operationId: 'getReadiness',
        summary: 'Readiness: can the api serve requests?',
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const { body, status } = readinessReply(checks)
      return await reply.code(status).send(body)
    },
  )
}

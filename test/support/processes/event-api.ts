import { fastify } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { Redis } from 'ioredis'
import { EVENT_HUB_LIMITS, type EventHubLimits } from '../../../cache-service/http/routes/event-hub.ts'
import { registerEventRoutes } from '../../../cache-service/http/routes/events.ts'
import type { EntryId, StreamName } from '../../../cache-service/core/events/event-position.ts'
import { ProblemError } from '../../../cache-service/http/problem.ts'
import { registerStateRoutes } from '../../../cache-service/http/routes/state.ts'
import { registerWorkerRoutes } from '../../../cache-service/http/routes/workers.ts'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { EventFollower } from '../../../cache-service/redis/events/event-follower.ts'
import { announceListening, createEventStreams } from '../../../cache-service/redis/events/event-streams.ts'
import { createStateStore } from '../../../cache-service/redis/events/state-store.ts'
import { createWorkerReports } from '../../../cache-service/redis/workers/worker-reports.ts'
import { eventually } from '../eventually.ts'

/** The part of an api process that serves events, state and workers: one follower, one server. */
export type EventApi = {
  readonly url: string
  readonly follower: EventFollower
  /** Current clients, events sent, and the reasons of dropped clients. */
  readonly counts: { clients: number; sent: number; dropped: string[] }
  stop(): Promise<void>
}

export type EventApiOptions = Partial<EventHubLimits> & {
  /** Called before each read of the past. */
  readonly observeRead?: (stream: StreamName, after: EntryId) => unknown
  /** Default: true. Otherwise it returns before it has reached Redis. */
  readonly isRedisAwaited?: boolean
}

const LISTENING_MS = 15_000
const BLOCK_MS = 500

export async function startEventApi(
  redisUrl: string,
  { isRedisAwaited = true, observeRead = () => undefined, ...limits }: EventApiOptions = {},
  stateTypes: readonly string[] = [],
): Promise<EventApi> {
  const options = { maxRetriesPerRequest: 0, retryStrategy: () => 50, enableReadyCheck: false }
  const redis = new Redis(redisUrl, options)
  const blocked = new Redis(redisUrl, { ...options, enableOfflineQueue: false, socketTimeout: 2_000 })
  for (const client of [redis, blocked]) client.on('error', () => undefined)
  const follower = new EventFollower({
    redis: blocked,
    blockMs: BLOCK_MS,
    failed: () => undefined,
    monitor: new LoopMonitor(() => Date.now()),
    random: () => Math.random(),
  })
  const stop = new AbortController()
  const followed = follower.run(stop.signal)
  const counts: EventApi['counts'] = { clients: 0, sent: 0, dropped: [] }
  const streams = createEventStreams(redis)
  const state = createStateStore(redis, stateTypes)
  const reports = createWorkerReports(redis)

  const server = fastify({ routerOptions: { maxParamLength: 2_000 } }).withTypeProvider<ZodTypeProvider>()
  server.setValidatorCompiler(validatorCompiler)
  server.setSerializerCompiler(serializerCompiler)
  server.setErrorHandler(async (error, _request, reply) => {
    if (error instanceof ProblemError) {
      return reply.code(error.problem.status).headers(error.headers).send(error.problem)
    }
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
    return reply.code(status).send({ title: String(error) })
  })
  registerEventRoutes(
    server,
    {
      position: () => follower.position,
      follow: (listener) => follower.follow(listener),
      async read(stream, after, ...range) {
        await observeRead(stream, after)
        return await streams.read(stream, after, ...range)
      },
      announceListening: () => announceListening(redis, LISTENING_MS),
      monotonicNow: () => performance.now(),
      telemetry: {
        sseClients: (count) => (counts.clients = count),
        sseEventsSent: (count) => (counts.sent += count),
        sseDropped: (reason) => counts.dropped.push(reason),
      },
    },
    { ...EVENT_HUB_LIMITS, ...limits },
  )
  registerStateRoutes(server, { readState: (type) => state.read(type) })
  registerWorkerRoutes(server, { readReports: () => reports.read() })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  await eventually(() => {
    if (isRedisAwaited && follower.position === undefined) throw new Error('the follower has no position yet')
  })
  return {
    url,
    follower,
    counts,
    async stop() {
      await server.close()
      stop.abort()
      await followed
      redis.disconnect()
    },
  }
}

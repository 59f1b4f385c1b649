import { fastify, LogController, type FastifyBaseLogger } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { ApiServer } from './api-server-types.ts'
import { guardAccess, identifyCallers, type Access } from './hooks/access.ts'
import { boundConcurrency } from './hooks/admission.ts'
import { Connections, UNREAD_TIMEOUT_MS } from './hooks/connections.ts'
import { allowOrigins } from './hooks/cors.ts'
import {
  answerBadHttp,
  answerOddRequests,
  answerUnknownRoute,
  sendProblem,
  toProblem,
} from './hooks/error-replies.ts'
import { registerApiReference } from './openapi/api-reference.ts'
import { describeRoutes } from './openapi/describe-routes.ts'
import { isCacheQueuePath, sendInSpanish } from './cache-queue/errors.ts'
import { REQUEST_TIMEOUT_MS } from './listen.ts'
import { registerProbeRoutes, type ProbePorts } from './routes/probes.ts'
import { serveInOrder } from './hooks/pipelined-requests.ts'
import { limitRates } from './hooks/rate-limit.ts'
import { readRequestBodies } from './hooks/request-bodies.ts'
import { checkRequestTargets, targetOf } from './hooks/request-target.ts'
import { countRequests, type RequestTelemetry } from './hooks/request-telemetry.ts'
import { watchRoutes } from './hooks/route-table.ts'
import { addSecurityHeaders } from './hooks/security-headers.ts'
import type { ConnectionCloseReason } from '../telemetry/api-metrics.ts'

export type ApiServerDependencies = ProbePorts & {
  readonly version: string
  /** For what the framework and its plugins log; requests are not logged. */
  readonly log: FastifyBaseLogger
  readonly access: Access
  readonly limits: {
    readonly maxConcurrentRequests: number
    readonly maxConnections: number
    /** 0: no limit. */
    readonly requestsPerMinute: number
  }
  /** Addresses and networks of the reverse proxies that say in X-Forwarded-For for whom they ask. */
  readonly trustedProxies: readonly string[]
  /** Such as `/cache`; empty: none. */
  readonly basePath: string
  /** Empty: web pages of other origins may not call the API. */
  readonly corsOrigins: readonly string[]
  readonly telemetry: RequestTelemetry & { connectionClosed(reason: ConnectionCloseReason): void }
  readonly monotonicNow: () => number
}

const MAX_BODY_BYTES = 256 * 1024
/** Of a decoded path segment: a device id has up to 256 bytes, a Redis key may have more. Beyond: 414. */
const MAX_PARAM_CHARACTERS = 1024
/** How often Node looks for requests that have not. */
const REQUEST_TIMEOUT_CHECK_MS = 1_000

/**
 * A server with everything that the routes have in common; register the routes on it. A route that keeps connections
 * open must close them in a `preClose` hook.
 */
export async function createApiServer(dependencies: ApiServerDependencies): Promise<ApiServer> {
  const { access, basePath, corsOrigins, limits, monotonicNow, telemetry, trustedProxies } = dependencies
  const connections = new Connections(limits.maxConnections, telemetry.connectionClosed)
  const server: ApiServer = fastify({
    loggerInstance: dependencies.log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Of each connection while it has a request. Node sets it anyway: to set it for each response would cost more.
    connectionTimeout: UNREAD_TIMEOUT_MS,
    http: {
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_TIMEOUT_CHECK_MS,
      // Node would reject a request without a Host header by itself, without a problem document.
      requireHostHeader: false,
    },
    rewriteUrl: (request) => targetOf(request, basePath),
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS },
    // Requests that have arrived before the server closes are still answered.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => {
      if (!connections.closeAfterAnswer(socket)) answerBadHttp(error, socket)
    },
    frameworkErrors: (error, request, reply) =>
      void (isCacheQueuePath(request.url)
        ? sendInSpanish(reply, error)
        : sendProblem(reply, toProblem(error))),
  }).withTypeProvider<ZodTypeProvider>()
  server.setValidatorCompiler(validatorCompiler)
  server.setSerializerCompiler(serializerCompiler)

  const routes = watchRoutes(server)
  connections.watch(server)
  answerOddRequests(server)
  countRequests(server, telemetry)
  addSecurityHeaders(server)
  readRequestBodies(server)
  checkRequestTargets(server)
  if (corsOrigins.length > 0) allowOrigins(server, corsOrigins)
  identifyCallers(server, access)
  if (limits.requestsPerMinute > 0) await limitRates(server, limits.requestsPerMinute, monotonicNow)
  guardAccess(server, access)
  serveInOrder(server, (socket) => connections.turnsOf(socket))
  boundConcurrency(server, limits.maxConcurrentRequests)
  const openApi = await describeRoutes(server, {
    version: dependencies.version,
    needsTokens: access.kind === 'tokens',
  })

  server.setErrorHandler(async (error, request, reply) => {
    const problem = toProblem(error)
    if (problem.problem.status === 500) {
      telemetry.requestFailed(request.method, request.routeOptions.url ?? 'unknown', error)
    }
    return await sendProblem(reply, problem)
  })
  server.setNotFoundHandler(answerUnknownRoute((path) => routes.methodsOf(path), basePath))
  registerProbeRoutes(server, dependencies)
  await registerApiReference(server, openApi)
  return server
}

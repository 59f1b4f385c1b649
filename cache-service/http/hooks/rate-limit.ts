import { isIP } from 'node:net'
import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'
import { createRateLimitStore } from './rate-limit-store.ts'

/**
 * Limits the requests per minute of each token, and of each client address without one. A request with a token that is
 * not valid counts for its address, and so does one for a path that does not exist. Call it after identifyCallers.
 */
export async function limitRates(
  server: ApiServer,
  requestsPerMinute: number,
  monotonicNow: () => number,
): Promise<void> {
  await server.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: 60_000,
    store: createRateLimitStore(monotonicNow),
    keyGenerator: (request) => (request.token === null ? addressOf(request) : `token ${request.token.name}`),
    allowList: (request) => request.routeOptions.config.probe === true,
    errorResponseBuilder: () => new ProblemError('too_many_requests'),
  })
  server.addHook('onRequest', server.rateLimit())
}

/** Of the client, as API_TRUSTED_PROXIES allows; of IPv6 the /64, which belongs to one client. */
function addressOf({ ip, raw }: FastifyRequest): string {
  // Some proxies add the port of the client.
  const [, bracketed, plain] = /^(?:\[([^\]]+)\](?::\d+)?|([^:]+):\d+)$/.exec(ip) ?? []
  const address = bracketed ?? plain ?? ip
  return normalizeIP(isIP(address) === 0 ? (raw.socket.remoteAddress ?? '') : address)
}

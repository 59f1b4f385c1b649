import type { ApiServer } from '../api-server-types.ts'

const METHODS = 'GET, HEAD, POST, DELETE'
const EXPOSED_HEADERS = 'ETag, Retry-After'
const PREFLIGHT_MAX_AGE_S = 600

/**
 * Lets the web pages of these origins call the API. A preflight is answered for every path, and without a token, which
 * browsers do not send with it: the page then sees the response of the request itself, also if that is an error.
 *
 * Set by hand because `@fastify/cors` adds a route for OPTIONS to every path, so that none is unknown any more, and
 * answers OPTIONS requests that are no preflights with an error of its own.
 */
export function allowOrigins(server: ApiServer, origins: readonly string[]): void {
  const allowed = new Set(origins)
  server.addHook('onRequest', (request, reply, next) => {
    const { origin, 'access-control-request-method': method } = request.headers
    const isPreflight = request.method === 'OPTIONS' && origin !== undefined && method !== undefined
    reply.header('vary', isPreflight ? 'Origin, Access-Control-Request-Headers' : 'Origin')
    if (origin !== undefined && allowed.has(origin)) {
      reply.header('access-control-allow-origin', origin)
      if (isPreflight) {
        const requested = request.headers['access-control-request-headers']
        reply.headers({
          'access-control-allow-methods': METHODS,
          'access-control-max-age': PREFLIGHT_MAX_AGE_S,
          ...(requested !== undefined && { 'access-control-allow-headers': requested }),
        })
      } else {
        reply.header('access-control-expose-headers', EXPOSED_HEADERS)
      }
    }
    if (isPreflight) void reply.code(204).send()
    else next()
  })
}

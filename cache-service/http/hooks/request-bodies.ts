import type { IncomingMessage } from 'node:http'
import { errorCodes } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'
import { isCacheQueuePath } from '../cache-queue/errors.ts'
import { ProblemError } from '../problem.ts'
import { parseJsonBodies } from './json-bodies.ts'

/**
 * Bodies are JSON: a form of another origin cannot send the content type application/json. An empty body counts as
 * none, whatever its content type: many clients send Content-Type with every request.
 */
export function readRequestBodies(server: ApiServer): void {
  server.decorateRequest('bodyBytes', 0)
  server.removeContentTypeParser('text/plain')
  const parseJson = server.getDefaultJsonParser('error', 'error')
  parseJsonBodies(server, parseJson, () => new errorCodes.FST_ERR_CTP_INVALID_JSON_BODY())
  server.addContentTypeParser<Buffer>('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0 || request.is404) done(null, undefined)
    else done(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE())
  })

  server.addHook('onRequest', (request, _reply, next) => {
    const { headers, method, raw } = request
    // The framework would reject a content type that is malformed.
    if (!hasBody(raw)) delete headers['content-type']
    // No route has this method, but the framework would first require a content type.
    if (method === 'QUERY') headers['content-type'] ??= 'application/octet-stream'
    next()
  })
  server.addHook('preValidation', (request, _reply, next) => {
    if (request.body === undefined && request.method === 'POST' && !isCacheQueuePath(request.url)) {
      if (request.routeOptions.schema?.body !== undefined) {
        throw new ProblemError('bad_request', { detail: 'The body is empty.' })
      }
    }
    next()
  })
}

/** As its headers say. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

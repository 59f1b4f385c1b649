import type { FastifyBodyParser } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the JSON body that was read. */
    bodyBytes: number
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads JSON bodies in this scope: UTF-8, with or without the byte order mark that some clients send. An empty body
 * counts as none: many clients send Content-Type with every request.
 *
 * @param refusal of a body that is not UTF-8.
 */
export function parseJsonBodies(
  scope: ApiServer,
  parse: FastifyBodyParser<string>,
  refusal: () => Error,
): void {
  scope.removeContentTypeParser('application/json')
  scope.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    request.bodyBytes = body.length
    if (body.length === 0) return done(null, undefined)
    const text = textOf(body)
    return text === undefined ? done(refusal()) : parse(request, text, done)
  })
}

function textOf(body: Buffer): string | undefined {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

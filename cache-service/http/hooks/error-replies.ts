import { statusOf } from '../status-of.ts'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { ServiceError } from '../../../shared/errors.ts'
import type { ProblemType } from '../../../shared/contract/problems.ts'
import type { ApiServer } from '../api-server-types.ts'
import { createProblem, PROBLEM_MEDIA_TYPE, ProblemError } from '../problem.ts'

/** The framework's own errors. */
const TYPE_BY_STATUS: Readonly<Record<number, ProblemType>> = {
  413: 'body_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
}

const DETAIL_BY_CODE: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not JSON.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty.',
  FST_ERR_BAD_URL: 'The path or the query is malformed.',
}

/** Node's errors for what is not valid HTTP. */
const TYPE_BY_CODE: Readonly<Record<string, ProblemType>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/**
 * Anything that a handler, a hook or the framework threw, as a problem. The messages of other errors are not passed
 * on: they may quote the request, or what is stored.
 */
export function toProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown
  if (thrown instanceof ServiceError) {
    return new ProblemError('redis_unavailable', { detail: redisUnavailableDetail(thrown) })
  }
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const errors = thrown.validation.map(({ instancePath, message }) => ({ path: instancePath, message }))
    const part = thrown.validationContext ?? 'request'
    return new ProblemError('invalid_request', {
      detail: `The ${part} does not match the schema: see errors.`,
      extensions: { errors },
    })
  }
  const status = statusOf(thrown)
  const type = TYPE_BY_STATUS[status] ?? (status < 500 ? 'bad_request' : 'internal_error')
  return new ProblemError(type, { detail: DETAIL_BY_CODE[codeOf(thrown)] })
}

export function sendProblem(reply: FastifyReply, { problem, headers }: ProblemError): FastifyReply {
  return reply
    .code(problem.status)
    .headers(headers)
    .type(PROBLEM_MEDIA_TYPE)
    .serializer((payload) => String(payload))
    .send(JSON.stringify(problem))
}

/**
 * Answers paths that have no route for the method; `methodsOf` tells which methods a path has. The base path itself is
 * redirected to the page: relative links work only below it.
 */
export function answerUnknownRoute(methodsOf: (path: string) => readonly string[], basePath: string) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const [path = ''] = request.url.split('?')
    if (basePath !== '' && path === basePath) {
      return await reply.redirect(`${basePath}/${request.url.slice(path.length)}`, 308)
    }
    const methods = methodsOf(path)
    const problem =
      methods.length === 0
        ? new ProblemError('not_found', { detail: 'There is no such route.' })
        : new ProblemError('method_not_allowed', { headers: { allow: methods.join(', ') } })
    return await sendProblem(reply, problem)
  }
}

/**
 * Within which a client must have received the response that closes its connection. Closing at once could discard the
 * response; waiting for the client could take as long as it likes.
 */
const FAREWELL_MS = 1_000

/** Answers what is not valid HTTP, or did not arrive in time, and closes the connection. */
export function answerBadHttp(error: Error & { code?: string }, socket: Duplex): void {
  if (socket.destroyed || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const problem = createProblem(TYPE_BY_CODE[error.code ?? ''] ?? 'bad_request')
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} Error`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), FAREWELL_MS).unref()
}

/** Answers what Node would answer by itself, without a problem document. */
export function answerOddRequests({ server }: ApiServer): void {
  server.on('connect', (_request, socket) => answerBadHttp(new Error('a request for a tunnel'), socket))
  // We have no use for any expectation, and may ignore it (RFC 9110, 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
}

export function redisUnavailableDetail({ code, master }: ServiceError): string {
  const where = master === undefined ? 'Redis' : `The master ${master} of the Redis Cluster`
  return `${where} failed with ${code}. Try again.`
}

import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { ServiceError } from '../../../shared/errors.ts'
import { PROBLEM_TYPE, ProblemError } from '../problem.ts'

const TITLES: Readonly<Record<number, readonly [type: string, title: string]>> = {
  400: ['bad_request', 'The request makes no sense'],
  404: ['not_found', 'There is nothing here'],
  405: ['method_not_allowed', 'The method is not one of this path'],
  408: ['request_timeout', 'The request came too slowly'],
  413: ['body_too_large', 'The body is too large'],
  414: ['uri_too_long', 'A part of the path is too long'],
  415: ['unsupported_media_type', 'The body must be application/json'],
  429: ['too_many_requests', 'Too many requests in a minute'],
  431: ['headers_too_large', 'The headers are too large'],
  500: ['internal_error', 'Something went wrong here'],
  503: ['unavailable', 'Not available now'],
}

const DETAILS: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not JSON.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty.',
  FST_ERR_BAD_URL: 'The path is not well-formed.',
}

/**
 * Whatever a handler, a hook or the framework threw, as a problem. Messages of others are not passed on:
 * they may quote what was sent, or what is stored.
 */
export function toProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown
  if (thrown instanceof ServiceError) {
    return new ProblemError(
      503,
      'redis_unavailable',
      'Redis does not answer as it should',
      `${thrown.code}: try again.`,
      {},
      { 'retry-after': '1' },
    )
  }
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const errors = thrown.validation.map(({ instancePath, message }) => ({ path: instancePath, message }))
    const where = thrown.validationContext ?? 'request'
    return new ProblemError(
      400,
      'invalid_request',
      'The request is not valid',
      `See errors: of the ${where}.`,
      { errors },
    )
  }
  const status = statusOf(thrown)
  const [type, title] = TITLES[status] ?? ['http_error', 'The request cannot be answered']
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
  return new ProblemError(status, type, title, DETAILS[code])
}

export function sendProblem(reply: FastifyReply, { problem, headers }: ProblemError): FastifyReply {
  return reply
    .code(problem.status)
    .headers(headers)
    .type(PROBLEM_TYPE)
    .serializer((payload) => String(payload))
    .send(JSON.stringify(problem))
}

/** For paths without a route; `methodsOf` knows those that have one for another method. */
export function answerUnknownRoute(methodsOf: (path: string) => readonly string[]) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const [path = ''] = request.url.split('?')
    const methods = methodsOf(path)
    const [status, headers] = methods.length === 0 ? [404, {}] : [405, { allow: methods.join(', ') }]
    const [type, title] = TITLES[status] ?? ['', '']
    return await sendProblem(reply, new ProblemError(status, type, title, undefined, {}, headers))
  }
}

/** For what is not even HTTP, or came too slowly. */
export function answerBadHttp(error: Error & { code?: string }, socket: Socket): void {
  if (socket.destroyed || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[error.code ?? ''] ?? 400
  const [type, title] = TITLES[status] ?? ['', '']
  const body = JSON.stringify({ type, title, status })
  const head = [
    `HTTP/1.1 ${status} Error`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function statusOf(thrown: unknown): number {
  if (!(thrown instanceof Error) || !('statusCode' in thrown)) return 500
  const { statusCode } = thrown
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 600 ? statusCode : 500
}

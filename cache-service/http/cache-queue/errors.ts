import { parseJsonKeepingDigits } from '../../../shared/exact-json.ts'
import { statusOf } from '../status-of.ts'
import type { FastifyBodyParser, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { ServiceError } from '../../../shared/errors.ts'
import type { ApiServer } from '../api-server-types.ts'
import { parseJsonBodies } from '../hooks/json-bodies.ts'
import { ProblemError } from '../problem.ts'
import type { CacheQueuePorts } from './cache-queue-ports.ts'

/** The cache-queue service sends errors as `{"error": …}` in Spanish, as its callers expect, not as problem documents. */
export const errorSchema = z
  .object({ error: z.string().describe('For people, usually in Spanish.'), key: z.string().optional() })
  .meta({ id: 'CacheQueueError' })

export const errorReplies = {
  400: errorSchema.describe('Bad request.'),
  503: errorSchema.describe('Redis is unavailable.'),
}

/** An error response of the cache-queue service; its error handler sends it. */
export class CacheQueueError extends Error {
  override readonly name = 'CacheQueueError'
  readonly status: number
  readonly body: Readonly<{ error: string }> & Readonly<Record<string, unknown>>

  constructor(status: number, error: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(error)
    this.status = status
    this.body = { error, ...extra }
  }
}

export function isCacheQueuePath(url: string): boolean {
  return /^\/api\/(cache|queue)(\/|$)/.test(url)
}

export function sendInSpanish(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof ProblemError) {
    const { status, title, detail } = error.problem
    return reply
      .code(status)
      .headers({ ...error.headers })
      .send({ error: detail ?? title })
  }
  const { status, body } = toCacheQueueError(error)
  return reply.code(status).send(body)
}

/** For a scope of the server that has only routes of the cache-queue service. */
export function answerErrorsInSpanish(
  scope: ApiServer,
  { requestFailed }: CacheQueuePorts['telemetry'],
): void {
  scope.setErrorHandler(async (error, request, reply) => {
    await sendInSpanish(reply, error)
    if (reply.statusCode === 500) requestFailed(request.method, request.routeOptions.url ?? 'unknown', error)
    return reply
  })

  // The parsed body is never merged into another object, so `__proto__` in a value is a harmless name.
  const refusal = () => new CacheQueueError(400, 'El cuerpo no es JSON válido')
  const parse: FastifyBodyParser<string> = (_request, text, done) => {
    let json: unknown
    try {
      json = parseJsonKeepingDigits(text)
    } catch {
      return done(refusal())
    }
    return done(null, json)
  }
  parseJsonBodies(scope, parse, refusal)
}

/** Answers the paths under a prefix that have no route for the method. */
export function answerUnknownMethods(scope: ApiServer, allowed: (path: string) => string | undefined): void {
  scope.setNotFoundHandler(async (request: FastifyRequest, reply: FastifyReply) => {
    const [path = ''] = request.url.split('?')
    const methods = allowed(path.replace(/\/$/, ''))
    if (methods === undefined) return await reply.code(404).send({ error: 'Ruta no encontrada' })
    return await reply.code(405).header('allow', methods).send({ error: 'Método no permitido' })
  })
}

function toCacheQueueError(error: unknown): CacheQueueError {
  if (error instanceof CacheQueueError) return error
  if (error instanceof ServiceError) return fromRedis(error)
  if (hasZodFastifySchemaValidationErrors(error)) {
    const messages = new Set(error.validation.map(({ message }) => message ?? 'petición no válida'))
    return new CacheQueueError(400, [...messages].join('; '))
  }
  const status = statusOf(error)
  return new CacheQueueError(status, FRAMEWORK_MESSAGES[status] ?? 'Petición no válida')
}

function fromRedis({ code, master }: ServiceError): CacheQueueError {
  if (code === 'WRONGTYPE') return new CacheQueueError(409, OTHER_TYPE)
  if (code === 'VALUE_REFUSED') return new CacheQueueError(400, 'Redis no acepta el valor')
  if (code === 'OOM') return new CacheQueueError(503, 'Redis no tiene memoria libre')
  return new CacheQueueError(
    503,
    master === undefined ? 'Redis no disponible' : `Redis no disponible en ${master}`,
  )
}

export const OTHER_TYPE = 'La clave contiene un valor de otro tipo'

const FRAMEWORK_MESSAGES: Readonly<Record<number, string>> = {
  413: 'El cuerpo es demasiado grande',
  415: 'El cuerpo debe ser application/json',
  429: 'Demasiadas peticiones',
  500: 'Error interno',
  503: 'Servicio no disponible',
}

import { PROBLEMS } from '../../../shared/contract/problems.ts'
import type { DocumentedError, OperationFacts } from '../openapi/error-responses.ts'

type ErrorEntry = Omit<DocumentedError, 'name' | 'headers'> & Partial<Pick<DocumentedError, 'headers'>>

/** The errors of the cache-queue service for the OpenAPI document, with their exact texts. */
const ENTRIES: Readonly<Record<string, ErrorEntry>> = {
  bad_path: { status: 400, when: 'The path is malformed.', example: { error: 'Petición no válida' } },
  invalid_json: {
    status: 400,
    when: 'The body is not JSON.',
    example: { error: 'El cuerpo no es JSON válido' },
  },
  empty_key: { status: 400, when: 'The key is empty.', example: { error: 'La clave no puede estar vacía' } },
  long_key: {
    status: 400,
    when: 'The key is longer than 1024 characters.',
    example: { error: 'La clave no es válida: como máximo 1024 caracteres' },
  },
  empty_pattern: {
    status: 400,
    when: 'The pattern is empty.',
    example: { error: 'El patrón no puede estar vacío' },
  },
  long_pattern: {
    status: 400,
    when: 'The pattern is longer than 128 characters.',
    example: { error: 'El patrón es demasiado largo: como máximo 128 caracteres' },
  },
  many_stars: {
    status: 400,
    when: 'The pattern has more than 3 stars.',
    example: { error: 'El patrón tiene demasiados asteriscos: como máximo 3' },
  },
  no_key: {
    status: 400,
    when: '`key` is missing.',
    example: { error: 'key es obligatorio y debe ser texto' },
  },
  no_value: { status: 400, when: '`value` is missing.', example: { error: 'value es obligatorio' } },
  small_ttl: { status: 400, when: '`ttl` is less than 1.', example: { error: 'ttl debe ser al menos 1' } },
  no_message: { status: 400, when: '`message` is missing.', example: { error: 'message es obligatorio' } },
  empty_channel: {
    status: 400,
    when: '`channel` is empty.',
    example: { error: 'channel no puede estar vacío' },
  },
  unconfirmed: {
    status: 400,
    when: 'The body is not `{"confirm": true}`.',
    example: { error: 'Se requiere {"confirm": true}' },
  },
  unauthorized: {
    status: 401,
    when: 'The request has no valid token.',
    example: { error: 'Send Authorization: Bearer <token>.' },
    headers: ['WWW-Authenticate'],
  },
  insufficient_scope: {
    status: 403,
    when: 'The token lacks the scope that the operation needs.',
    example: { error: 'The token needs the scope read.' },
    headers: ['WWW-Authenticate'],
  },
  host_not_allowed: {
    status: 403,
    when: PROBLEMS.host_not_allowed.when,
    example: { error: PROBLEMS.host_not_allowed.detail },
  },
  protected_key: {
    status: 403,
    when: 'The key belongs to the platform, or begins with one of `CACHE_PROTECTED_PREFIXES`.',
    example: { error: 'La clave está protegida' },
  },
  protected_channel: {
    status: 403,
    when: 'The channel is reserved for Redis or for this service.',
    example: { error: 'El canal está protegido' },
  },
  absent_key: {
    status: 404,
    when: 'The key does not exist.',
    example: { error: 'Clave no encontrada', key: 'user:1' },
  },
  other_type: {
    status: 409,
    when: 'The key holds a Redis type other than string.',
    example: { error: 'La clave contiene un valor de otro tipo' },
  },
  method_not_allowed: {
    status: 405,
    when: 'The path exists, but not for this method.',
    example: { error: 'Método no permitido' },
    headers: ['Allow'],
  },
  body_too_large: {
    status: 413,
    when: 'The body is larger than 256 KiB.',
    example: { error: 'El cuerpo es demasiado grande' },
  },
  uri_too_long: {
    status: 414,
    when: 'A path segment is longer than 1024 characters.',
    example: { error: 'Petición no válida' },
  },
  unsupported_media_type: {
    status: 415,
    when: 'The body is not declared as JSON.',
    example: { error: 'El cuerpo debe ser application/json' },
  },
  too_many_requests: {
    status: 429,
    when: 'The caller has used up its `API_RATE_LIMIT_PER_MINUTE`.',
    example: { error: 'Too many requests' },
    headers: ['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'],
  },
  internal_error: {
    status: 500,
    when: 'A bug in this service; its log has the stack trace.',
    example: { error: 'Error interno' },
  },
  redis_unavailable: {
    status: 503,
    when: 'Redis did not answer, or answered with an error.',
    example: { error: 'Redis no disponible' },
  },
  overloaded: {
    status: 503,
    when: '`API_MAX_CONCURRENT_REQUESTS` requests are already in progress.',
    example: { error: 'Overloaded' },
    headers: ['Retry-After'],
  },
}

/** The errors that an operation names, and those that follow from what it is. */
export function cacheQueueErrors(
  facts: OperationFacts,
  named: readonly string[],
): readonly DocumentedError[] {
  const { hasBody, hasParameters, isProbe, scope } = facts
  const names = [
    ...named,
    ...(hasParameters ? ['bad_path'] : []),
    ...(hasBody ? ['invalid_json', 'body_too_large', 'unsupported_media_type'] : []),
    ...(scope === 'public' ? [] : ['unauthorized', 'insufficient_scope']),
    ...(isProbe ? [] : ['host_not_allowed', 'too_many_requests', 'redis_unavailable', 'overloaded']),
  ]
  return names.map((name) => {
    const docs = errorDocs(name)
    return name === 'insufficient_scope'
      ? { ...docs, example: { error: `The token needs the scope ${scope}.` } }
      : docs
  })
}

/** Those that any operation can answer with, and that none lists. */
export function otherCacheQueueErrors(): readonly DocumentedError[] {
  return ['method_not_allowed', 'uri_too_long', 'internal_error'].map(errorDocs)
}

function errorDocs(name: string): DocumentedError {
  const entry = ENTRIES[name]
  if (entry === undefined) throw new Error(`the cache-queue service has no error ${name}`)
  return { name, headers: [], ...entry }
}

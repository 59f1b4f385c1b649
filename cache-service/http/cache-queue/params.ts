import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { GLOB_MAX_LENGTH, GLOB_MAX_STARS, parseGlob } from '../../core/cache-queue/glob.ts'
import { CacheQueueError } from './errors.ts'

/** Bounds what one key may cost; Redis itself would take 512 MB. */
export const KEY_MAX_LENGTH = 1024

export const keyParams = z.object({ key: z.string() })

/**
 * What follows the route in the path, without the slash at its end: a key may hold slashes, as they are or as
 * %2F, and ends with one only as %2F. Hence not the framework's parameter, which does not tell the two apart.
 *
 * @param segments of the route before it, e.g. 2 for `/api/cache/{key}`
 */
export function restOfPath(request: FastifyRequest, segments: number): string {
  const [path = ''] = request.raw.url?.split('?') ?? []
  const rest = path.split('/').slice(segments + 1)
  if (rest.length > 1 && rest.at(-1) === '') rest.pop()
  return decodeURIComponent(rest.join('/'))
}

/** @throws RedisServiceError (400) */
export function assertKey(key: string): string {
  if (key === '') throw new CacheQueueError(400, 'La clave no puede estar vacía')
  if (key.length > KEY_MAX_LENGTH || !key.isWellFormed()) {
    throw new CacheQueueError(400, `La clave no es válida: como máximo ${KEY_MAX_LENGTH} caracteres`)
  }
  return key
}

const GLOB_REFUSALS = {
  empty: 'El patrón no puede estar vacío',
  too_long: `El patrón es demasiado largo: como máximo ${GLOB_MAX_LENGTH} caracteres`,
  too_many_stars: `El patrón tiene demasiados asteriscos: como máximo ${GLOB_MAX_STARS}`,
} as const

/** @throws RedisServiceError (400) */
export function assertGlob(text: string): string {
  const parsed = parseGlob(text)
  if (parsed.kind === 'refused') throw new CacheQueueError(400, GLOB_REFUSALS[parsed.reason])
  return parsed.glob
}

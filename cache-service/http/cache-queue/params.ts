import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { GLOB_MAX_LENGTH, GLOB_MAX_STARS, parseGlob } from '../../core/cache-queue/glob.ts'
import { CacheQueueError } from './errors.ts'

/** Limits the cost of one key; Redis itself would accept 512 MB. */
const KEY_MAX_LENGTH = 1024

export const keyParams = z.object({ key: z.string() })

export const patternQuery = z.object({ pattern: z.string('pattern debe aparecer una sola vez').default('*') })

/**
 * The key in the path: everything after the route, decoded and without a trailing slash. A key may contain slashes,
 * plain or as %2F, but can end with one only as %2F. The framework's own parameter does not tell the two apart.
 *
 * @param segments before the key, such as 2 for `/api/cache/{key}`
 */
export function restOfPath(request: FastifyRequest, segments: number): string {
  const [path = ''] = request.raw.url?.split('?') ?? []
  const rest = path.split('/').slice(segments + 1)
  if (rest.length > 1 && rest.at(-1) === '') rest.pop()
  return decodeURIComponent(rest.join('/'))
}

/** @throws CacheQueueError (400) */
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

/** @throws CacheQueueError (400) */
export function assertGlob(text: string): string {
  const parsed = parseGlob(text)
  if (parsed.kind === 'refused') throw new CacheQueueError(400, GLOB_REFUSALS[parsed.reason])
  return parsed.glob
}

import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { GLOB_MAX_LENGTH, GLOB_MAX_STARS, parseGlob } from '../../core/cache-queue/glob.ts'
import { CacheQueueError } from './errors.ts'

/** Limits the cost of one key; Redis itself would accept 512 MB. */
const KEY_MAX_LENGTH = 1024

// The handlers check the values (assertKey, assertGlob): their messages are part of the contract.
const keyLimits = { minLength: 1, maxLength: KEY_MAX_LENGTH }
const globFacts = {
  description: `Pattern of Redis: \`*\`, \`?\`, \`[…]\`, and \`\\\` before a character to take it literally. At most ${GLOB_MAX_STARS} stars.`,
  minLength: 1,
  maxLength: GLOB_MAX_LENGTH,
}

export const keyParams = z.object({
  key: z
    .string()
    .meta({ description: 'The key, percent-encoded. A `/` may also be written as it is.', ...keyLimits }),
})

export const channelParams = z.object({
  channel: z.string().meta({ description: 'The channel, percent-encoded.', ...keyLimits }),
})

export const patternParams = z.object({ pattern: z.string().meta(globFacts) })

export const patternQuery = z.object({
  pattern: z.string('pattern debe aparecer una sola vez').default('*').meta(globFacts),
})

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

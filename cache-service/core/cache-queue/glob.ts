export const GLOB_MAX_LENGTH = 128
export const GLOB_MAX_STARS = 3

export type ParsedGlob =
  { kind: 'ok'; glob: string } | { kind: 'refused'; reason: 'empty' | 'too_long' | 'too_many_stars' }

/**
 * A pattern as Redis understands it (`*`, `?`, `[…]`, `\` for the character itself), if it may be asked for:
 * Redis tries every way to share a key out among the stars, and nobody else is served meanwhile.
 */
export function parseGlob(text: string): ParsedGlob {
  if (text === '') return { kind: 'refused', reason: 'empty' }
  if (text.length > GLOB_MAX_LENGTH) return { kind: 'refused', reason: 'too_long' }
  const stars = text.replaceAll(/\\./gs, '').split('*').length - 1
  if (stars > GLOB_MAX_STARS) return { kind: 'refused', reason: 'too_many_stars' }
  return { kind: 'ok', glob: text }
}

export const GLOB_MAX_LENGTH = 128
export const GLOB_MAX_STARS = 3
/** Maximum number of keys or channels in one response. */
export const LISTED_MAX = 10_000

export type ParsedGlob =
  { kind: 'ok'; glob: string } | { kind: 'refused'; reason: 'empty' | 'too_long' | 'too_many_stars' }

/**
 * Checks a pattern of Redis (`*`, `?`, `[…]`, `\` to escape a character). The number of stars is limited because Redis
 * backtracks over all of them for every key, and serves no other client meanwhile.
 */
export function parseGlob(text: string): ParsedGlob {
  if (text === '') return { kind: 'refused', reason: 'empty' }
  if (text.length > GLOB_MAX_LENGTH) return { kind: 'refused', reason: 'too_long' }
  const stars = text.replaceAll(/\\./gs, '').split('*').length - 1
  if (stars > GLOB_MAX_STARS) return { kind: 'refused', reason: 'too_many_stars' }
  return { kind: 'ok', glob: text }
}

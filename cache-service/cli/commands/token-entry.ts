import { parseJson } from '../../../shared/json.ts'
import { createHash } from 'node:crypto'
import { parseTokens, withoutByteOrderMark, type TokenScope } from '../../http/tokens.ts'

/** A token as stored in the file. */
export type TokenEntry = {
  readonly name: string
  readonly sha256: string
  readonly scopes: readonly TokenScope[]
  readonly expires?: string
}

export function entryOf(
  token: string,
  name: string,
  scopes: readonly TokenScope[],
  expires: string | undefined,
): TokenEntry {
  const sha256 = createHash('sha256').update(token).digest('hex')
  return { name, sha256, scopes, ...(expires !== undefined && { expires }) }
}

export type EditedTokens =
  { readonly kind: 'ok'; readonly text: string } | { readonly kind: 'refused'; readonly reason: string }

/** Adds an entry to the text of a token file and keeps its layout. A new file has one entry per line. */
export function withEntry(oldText: string, entry: TokenEntry): EditedTokens {
  const text = withoutByteOrderMark(oldText)
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'))
  if (lines.length > 0) {
    const existing = parseTokens(text)
    if (existing.kind === 'invalid' && !existing.isEmpty)
      return refused(`it is not a list of tokens (${existing.reason}): check --file`)
    if (existing.kind === 'ok' && existing.tokens.some(({ name }) => name === entry.name)) {
      return refused('it already contains a token of this name: choose another --name')
    }
  }
  const added = addTo(text, lines, entry)
  if (added === undefined) return refused('its comments would be lost: add the entry by hand')
  return { kind: 'ok', text: added }
}

/** Removes the entry of a name from the text of a valid token file, and keeps its layout. */
export function withoutEntry(oldText: string, name: string): EditedTokens {
  const text = withoutByteOrderMark(oldText)
  const isOther = (entry: unknown) =>
    typeof entry !== 'object' || entry === null || !('name' in entry) || entry.name !== name
  const whole = parseJson(text)
  if (Array.isArray(whole)) return ok(`${JSON.stringify(whole.filter(isOther), null, 2)}\n`)
  if (typeof whole === 'object' && whole !== null && 'tokens' in whole && Array.isArray(whole.tokens)) {
    return ok(`${JSON.stringify({ ...whole, tokens: whole.tokens.filter(isOther) }, null, 2)}\n`)
  }
  const lines = text.split('\n')
  const kept = lines.filter((line) => isOther(parseJson(line)))
  if (kept.length < lines.length) return ok(kept.join('\n'))
  return typeof whole === 'object' ? ok('') : refused('its comments would be lost: remove the entry by hand')
}

function ok(text: string): EditedTokens {
  return { kind: 'ok', text }
}

function refused(reason: string): EditedTokens {
  return { kind: 'refused', reason }
}

/** @returns undefined if comments would be lost. */
function addTo(text: string, lines: readonly string[], entry: TokenEntry): string | undefined {
  const whole = parseJson(text)
  if (Array.isArray(whole)) return `${JSON.stringify([...whole, entry], null, 2)}\n`
  if (typeof whole === 'object' && whole !== null) {
    if (!('tokens' in whole)) return `${JSON.stringify(whole)}\n${JSON.stringify(entry)}\n`
    const tokens: unknown[] = Array.isArray(whole.tokens) ? whole.tokens : []
    return `${JSON.stringify({ ...whole, tokens: [...tokens, entry] }, null, 2)}\n`
  }
  if (lines.some((line) => parseJson(line) === undefined)) return undefined
  return `${text === '' || text.endsWith('\n') ? text : `${text}\n`}${JSON.stringify(entry)}\n`
}

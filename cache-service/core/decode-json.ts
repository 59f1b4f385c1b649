import { messageOf } from '../../shared/errors.ts'

/** JSON as Python's `json.dumps` writes it: `NaN`, `Infinity` and `-Infinity` are read as null. */
export type Decoded =
  /** `text` is what was parsed, for numbers that must keep their digits (shared/exact-json.ts). */
  | { readonly kind: 'json'; readonly json: unknown; readonly text: string }
  | { readonly kind: 'not_utf8' }
  | { readonly kind: 'not_json'; readonly detail: string }

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function decodeJson(bytes: Buffer): Decoded {
  // Faster than the decoder, but it replaces what is not UTF-8. A byte order mark stays, where JSON does not allow it.
  const text = bytes.toString()
  if (text.includes('\ufffd') && !isUtf8(bytes)) return { kind: 'not_utf8' }
  try {
    return { kind: 'json', json: JSON.parse(text), text }
  } catch (error) {
    const withoutNaN = replaceNonFinite(text)
    if (withoutNaN !== text) {
      try {
        return { kind: 'json', json: JSON.parse(withoutNaN), text: withoutNaN }
      } catch {
        // fall through: the first error describes the text as sent
      }
    }
    return { kind: 'not_json', detail: messageOf(error) }
  }
}

function isUtf8(bytes: Buffer): boolean {
  try {
    utf8.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** Replaces `NaN`, `Infinity` and `-Infinity` outside strings with `null`; leaves everything else unchanged. */
export function replaceNonFinite(text: string): string {
  let out = ''
  let kept = 0
  for (let i = 0; i < text.length;) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      i = endOfString(text, i)
      continue
    }
    // N, I, or -I
    const token =
      code === 0x4e
        ? 'NaN'
        : code === 0x49
          ? 'Infinity'
          : code === 0x2d && text[i + 1] === 'I'
            ? '-Infinity'
            : ''
    if (token !== '' && text.startsWith(token, i)) {
      out += `${text.slice(kept, i)}null`
      i += token.length
      kept = i
    } else {
      i++
    }
  }
  return kept === 0 ? text : out + text.slice(kept)
}

/** The index after the closing quote of the string that opens at `open`. */
function endOfString(text: string, open: number): number {
  let i = open + 1
  while (i < text.length) {
    const code = text.charCodeAt(i)
    if (code === 0x22) return i + 1
    i += code === 0x5c ? 2 : 1
  }
  return text.length
}

/** False: the JSON text cannot be nested deeper than `limit` levels. Much cheaper than `nestsWithin`, which decides. */
export function mayNestDeeper(text: string, limit: number): boolean {
  return limit < countUpTo(limit + 1, '{', text) + countUpTo(limit + 1, '[', text)
}

function countUpTo(most: number, character: string, text: string): number {
  let count = 0
  for (let at = text.indexOf(character); at >= 0 && count < most; at = text.indexOf(character, at + 1))
    count++
  return count
}

/** True if objects and arrays are nested at most `limit` levels deep; the value itself is level 1. */
export function nestsWithin(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (limit === 0) return false
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === 'object' && item !== null && !nestsWithin(item, limit - 1)) return false
    }
    return true
  }
  // Unlike Object.values, this allocates nothing; JSON has no inherited fields.
  for (const name in value) {
    const item: unknown = (value as Readonly<Record<string, unknown>>)[name]
    if (typeof item === 'object' && item !== null && !nestsWithin(item, limit - 1)) return false
  }
  return true
}

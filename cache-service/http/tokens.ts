import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

export const SCOPES = ['read', 'write', 'admin'] as const
export type TokenScope = (typeof SCOPES)[number]

/** An entry of the token file, which never holds the token itself. */
export type ApiToken = Readonly<{
  name: string
  sha256: string
  scopes: readonly TokenScope[]
  /** Milliseconds since 1970; undefined: it never expires. */
  expiresAtMs: number | undefined
}>

export type ParsedTokens =
  | { readonly kind: 'ok'; readonly tokens: readonly ApiToken[] }
  /** `isEmpty`: it is a list, but has no tokens. */
  | { readonly kind: 'invalid'; readonly reason: string; readonly isEmpty: boolean }

// A fast hash is enough for random tokens of 256 bits; it would not be for passwords.
const tokenSchema = z.strictObject({
  name: z.string().regex(/^[\w.@-]{1,64}$/, 'must be 1 to 64 letters, digits, or _ . @ -'),
  sha256: z
    .string()
    .toLowerCase()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  scopes: z.array(z.enum(SCOPES)).min(1),
  expires: z.iso.datetime({ offset: true }).optional(),
})
const listSchema = z.array(tokenSchema)

/**
 * Accepts a JSON list of tokens, `{"tokens": […]}`, or one token per line; lines that begin with # are comments. A byte order
 * mark is ignored.
 */
export function parseTokens(text: string): ParsedTokens {
  const json = readJson(withoutByteOrderMark(text))
  if (json === undefined) return invalid(whyNotJson(text))
  const list = listSchema.safeParse(json)
  if (!list.success) {
    const issue = list.error.issues[0]
    return invalid(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
  }
  const names = new Set(list.data.map(({ name }) => name))
  if (names.size < list.data.length) return invalid('two tokens have the same name')
  if (names.size === 0) {
    return { kind: 'invalid', reason: 'it has no tokens, so every call would be refused', isEmpty: true }
  }
  const tokens = list.data.map(({ expires, ...token }) => ({
    ...token,
    expiresAtMs: expires === undefined ? undefined : Date.parse(expires),
  }))
  return { kind: 'ok', tokens }
}

/** Takes the same time for every token, known or unknown. */
export function findToken(
  tokens: readonly ApiToken[],
  presented: string,
  nowMs: number,
): ApiToken | undefined {
  const digest = createHash('sha256').update(presented).digest()
  let found: ApiToken | undefined
  for (const token of tokens) {
    if (timingSafeEqual(digest, Buffer.from(token.sha256, 'hex'))) found = token
  }
  return found === undefined || isExpired(found, nowMs) ? undefined : found
}

export function isExpired({ expiresAtMs }: ApiToken, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs
}

function invalid(reason: string): ParsedTokens {
  return { kind: 'invalid', reason, isEmpty: false }
}

export function withoutByteOrderMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}

function whyNotJson(text: string): string {
  if (text.includes('\0')) return 'it is encoded in UTF-16: save it as UTF-8'
  if (text.includes('\uFFFD')) return 'it is not encoded in UTF-8'
  return 'it is neither JSON nor one JSON object per line'
}

function readJson(text: string): unknown {
  const lines = text.split('\n').filter((line) => !line.trimStart().startsWith('#'))
  try {
    const json: unknown = JSON.parse(lines.join('\n'))
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
    return 'tokens' in json ? json.tokens : [json]
  } catch {
    try {
      return lines.filter((line) => line.trim() !== '').map((line): unknown => JSON.parse(line))
    } catch {
      return undefined
    }
  }
}

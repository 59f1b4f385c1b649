import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

export const SCOPES = ['read', 'write', 'admin'] as const
export type TokenScope = (typeof SCOPES)[number]

/** A token as the file holds it: never the token itself. */
export type ApiToken = Readonly<{
  name: string
  sha256: string
  scopes: readonly TokenScope[]
  /** Milliseconds since 1970; undefined: never. */
  expiresAtMs: number | undefined
}>

export type ParsedTokens =
  | { readonly kind: 'ok'; readonly tokens: readonly ApiToken[] }
  | { readonly kind: 'invalid'; readonly reason: string }

// Random tokens of 256 bits: a fast hash gives nothing away, where it would for a password.
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

/** A JSON list of tokens, `{"tokens": […]}`, or one token a line; lines that begin with # are comments. */
export function parseTokens(text: string): ParsedTokens {
  const json = readJson(text)
  if (json === undefined) return { kind: 'invalid', reason: 'it is neither JSON nor one JSON object a line' }
  const list = listSchema.safeParse(json)
  if (!list.success) {
    const issue = list.error.issues[0]
    return { kind: 'invalid', reason: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}` }
  }
  const names = new Set(list.data.map(({ name }) => name))
  if (names.size < list.data.length) return { kind: 'invalid', reason: 'two tokens have the same name' }
  if (names.size === 0) return { kind: 'invalid', reason: 'it holds no token: nobody could ever call' }
  const tokens = list.data.map(({ expires, ...token }) => ({
    ...token,
    expiresAtMs: expires === undefined ? undefined : Date.parse(expires),
  }))
  return { kind: 'ok', tokens }
}

/** Takes the same time whichever token it is, or none. */
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
  if (found?.expiresAtMs !== undefined && found.expiresAtMs <= nowMs) return undefined
  return found
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

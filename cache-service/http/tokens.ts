import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { messageOf } from '../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'

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
  | { readonly kind: 'invalid'; readonly reason: string }

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

/** Accepts a JSON list of tokens, `{"tokens": […]}`, or one token per line; lines that begin with # are comments. */
export function parseTokens(text: string): ParsedTokens {
  const json = readJson(text)
  if (json === undefined)
    return { kind: 'invalid', reason: 'it is neither JSON nor one JSON object per line' }
  const list = listSchema.safeParse(json)
  if (!list.success) {
    const issue = list.error.issues[0]
    return { kind: 'invalid', reason: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}` }
  }
  const names = new Set(list.data.map(({ name }) => name))
  if (names.size < list.data.length) return { kind: 'invalid', reason: 'two tokens have the same name' }
  if (names.size === 0) return { kind: 'invalid', reason: 'it has no tokens, so every call would be refused' }
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

// ---- the file

export type TokenFileTelemetry = {
  tokensLoaded(names: readonly string[]): void
  /** The file is unusable; the previously loaded tokens stay in use. */
  tokensRefused(reason: string): void
  loopFailed(loop: string, error: unknown): void
}

export type TokenFile = {
  readonly tokens: readonly ApiToken[]
  /** Rereads the file periodically: a mounted secret is replaced through a symbolic link, which watchers miss. */
  service(everyMs: number, monitor: LoopMonitor): Service
}

/** Rejects with an OperatorError if the file is missing or is not a list of tokens. */
export async function openTokenFile(path: string, telemetry: TokenFileTelemetry): Promise<TokenFile> {
  let lastText: string | undefined
  let tokens: readonly ApiToken[] = []

  /** Resolves with the reason why the file cannot be used, if there is one. */
  async function load(): Promise<string | undefined> {
    const text = await readFile(path, 'utf8').catch((error: unknown) => new Error(messageOf(error)))
    if (text instanceof Error) return `it cannot be read: ${text.message}`
    if (text === lastText) return undefined
    lastText = text
    const parsed = parseTokens(text)
    if (parsed.kind === 'invalid') return parsed.reason
    tokens = parsed.tokens
    telemetry.tokensLoaded(tokens.map(({ name }) => name))
    return undefined
  }

  const refusal = await load()
  if (refusal !== undefined) {
    throw new OperatorError(
      `API_TOKENS_FILE cannot be used: ${refusal}. Create a token file with cache-cli token create --file`,
    )
  }
  return {
    get tokens() {
      return tokens
    },
    service: (everyMs, monitor) =>
      createLoop({
        name: 'tokens',
        everyMs,
        monitor,
        async turn() {
          const reason = await load()
          if (reason !== undefined) telemetry.tokensRefused(reason)
        },
        failed: (error) => telemetry.loopFailed('tokens', error),
      }),
  }
}

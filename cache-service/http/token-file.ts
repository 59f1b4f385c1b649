import { readFile } from 'node:fs/promises'
import { messageOf } from '../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { parseTokens, type ApiToken } from './api-tokens.ts'

export type TokenFileTelemetry = {
  tokensLoaded(names: readonly string[]): void
  /** The tokens of before stay good. */
  tokensRefused(reason: string): void
  loopFailed(loop: string, error: unknown): void
}

export type TokenFile = {
  readonly tokens: readonly ApiToken[]
  /** Reads the file again and again: a mounted secret is replaced by a link, which no watcher sees reliably. */
  service(everyMs: number, monitor: LoopMonitor): Service
}

/** Rejects with an OperatorError if the file is missing or no list of tokens. */
export async function openTokenFile(path: string, telemetry: TokenFileTelemetry): Promise<TokenFile> {
  let lastText: string | undefined
  let tokens: readonly ApiToken[] = []

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
  if (refusal !== undefined)
    throw new OperatorError(`API_TOKENS_FILE names a file that can't be used: ${refusal}`)
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

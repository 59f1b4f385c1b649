import { readFile, stat } from 'node:fs/promises'
import { messageOf } from '../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { parseTokens, type ApiToken } from './tokens.ts'
import type { NotReadyReason } from '../lifecycle/readiness.ts'

export type TokenFileTelemetry = {
  tokensLoaded(names: readonly string[]): void
  /** The file has no tokens any more. */
  tokensRevoked(): void
  /** The file is unusable; the previously loaded tokens stay in use. */
  tokensRefused(reason: string): void
  loopFailed(loop: string, error: unknown): void
}

export type TokenFile = {
  readonly tokens: readonly ApiToken[]
  notReadyReasons(): NotReadyReason[]
  /** Rereads the file periodically: a mounted secret is replaced through a symbolic link, which watchers miss. */
  service(everyMs: number, monitor: LoopMonitor): Service
}

type Reading =
  { readonly kind: 'text'; readonly text: string } | { readonly kind: 'unreadable'; readonly reason: string }

const MAX_BYTES = 1024 * 1024

/**
 * The tokens of a file that may change at any time.
 *
 * valid     its tokens are in use.
 * empty     no token is accepted any more: removing all entries revokes all tokens. Not ready.
 * unusable  it is missing, unreadable or invalid. The tokens that were loaded before stay in use, since otherwise a typing
 *           error would lock all callers out. Not ready, so that it does not go unnoticed.
 *
 * A change counts only if the next reading finds the same: programs write files in several steps, and half of a list
 * would revoke the other half.
 *
 * Rejects with an OperatorError if the file is empty or unusable at first.
 */
export async function openTokenFile(path: string, telemetry: TokenFileTelemetry): Promise<TokenFile> {
  let tokens: readonly ApiToken[] = []
  let problem: string | undefined
  let seen = await readTokens(path)
  let isApplied = true

  function apply(): void {
    const parsed = parseReading(seen)
    if (parsed.kind === 'ok') {
      tokens = parsed.tokens
      problem = undefined
      telemetry.tokensLoaded(tokens.map(({ name }) => name))
      return
    }
    problem = parsed.reason
    if (!parsed.isEmpty) return telemetry.tokensRefused(problem)
    tokens = []
    telemetry.tokensRevoked()
  }

  const first = parseReading(seen)
  if (first.kind === 'invalid') {
    throw new OperatorError(
      `API_TOKENS_FILE cannot be used: ${first.reason}. Create a token file with cache-cli token create --file`,
    )
  }
  apply()
  return {
    get tokens() {
      return tokens
    },
    notReadyReasons: () => (problem === undefined ? [] : [`API_TOKENS_FILE cannot be used: ${problem}`]),
    service: (everyMs, monitor) =>
      createLoop({
        name: 'tokens',
        everyMs,
        monitor,
        async turn() {
          const reading = await readTokens(path)
          if (!isSame(reading, seen)) {
            seen = reading
            isApplied = false
          } else if (!isApplied) {
            isApplied = true
            apply()
          }
        },
        failed: (error) => telemetry.loopFailed('tokens', error),
      }),
  }
}

function parseReading(reading: Reading): ReturnType<typeof parseTokens> {
  if (reading.kind === 'text') return parseTokens(reading.text)
  return { kind: 'invalid', reason: reading.reason, isEmpty: false }
}

function isSame(a: Reading, b: Reading): boolean {
  if (a.kind === 'text') return b.kind === 'text' && a.text === b.text
  return b.kind === 'unreadable' && a.reason === b.reason
}

async function readTokens(path: string): Promise<Reading> {
  try {
    // Reading a pipe could wait indefinitely.
    const facts = await stat(path)
    if (facts.isDirectory()) return unreadable('it is a directory')
    if (!facts.isFile()) return unreadable('it is not a regular file')
    if (facts.size > MAX_BYTES) return unreadable(`it is larger than ${MAX_BYTES} bytes`)
    return { kind: 'text', text: await readFile(path, 'utf8') }
  } catch (error) {
    return unreadable(`it cannot be read: ${messageOf(error)}`)
  }
}

function unreadable(reason: string): Reading {
  return { kind: 'unreadable', reason }
}

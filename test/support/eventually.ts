import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'

export type EventuallyOptions = { timeoutMs?: number; everyMs?: number; describe?: string }

/**
 * Repeats the check until it does not throw, and returns its value. On timeout the error reports the check's last
 * failure. A check that hangs times out as well.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 15_000, everyMs = 50, describe = 'the check' }: EventuallyOptions = {},
): Promise<T> {
  const startedAt = performance.now()
  const deadline = startedAt + timeoutMs
  let lastSeen: unknown = new Error('it has not answered yet')
  let tries = 0
  while (true) {
    tries += 1
    const outcome = await outcomeOf(check, Math.max(deadline - performance.now(), 1))
    if (outcome.kind === 'passed') return outcome.value
    if (outcome.kind === 'failed') lastSeen = outcome.error
    if (performance.now() + everyMs > deadline) {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      const times = tries === 1 ? '1 try' : `${tries} tries`
      throw new Error(
        `${describe} did not pass within ${seconds} s (${times}). Last seen: ${text(lastSeen)}`,
        {
          cause: lastSeen,
        },
      )
    }
    await sleep(everyMs)
  }
}

/** `eventually` with a minute: for what takes a second or two, but much longer on a busy machine. */
export function patiently<T>(check: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  return eventually(check, { timeoutMs: 60_000, ...options })
}

type Outcome<T> = { kind: 'passed'; value: T } | { kind: 'failed'; error: unknown } | { kind: 'hung' }

async function outcomeOf<T>(check: () => T | Promise<T>, waitMs: number): Promise<Outcome<T>> {
  const waiting = new AbortController()
  try {
    const running = (async (): Promise<Outcome<T>> => {
      try {
        return { kind: 'passed', value: await check() }
      } catch (error) {
        return { kind: 'failed', error }
      }
    })()
    const hung = sleep(waitMs, { kind: 'hung' } as const, { signal: waiting.signal })
    hung.catch(() => undefined)
    return await Promise.race([running, hung])
  } finally {
    waiting.abort()
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : inspect(error)
}

import { setTimeout as delay } from 'node:timers/promises'

/** Resolves after `ms`, or at once when the signal aborts; the caller looks at the signal. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Resolves when the signal has aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** True if the promise settled within `ms`; its error, if any, is swallowed. */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController()
  const settled = promise.then(
    () => true,
    () => true,
  )
  const timeout = sleep(ms, timer.signal).then(() => false)
  const outcome = await Promise.race([settled, timeout])
  timer.abort()
  return outcome
}

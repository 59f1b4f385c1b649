import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit'

type Window = { readonly startedMs: number; requests: number }

/** Beyond it, the callers that have been counted for longest are forgotten. */
const MAX_CALLERS = 5_000

/**
 * Counts the requests of each caller in windows of a monotonic clock. The plugin's own store uses the wall clock: after
 * that was set back, callers would be rejected until it has caught up.
 */
export function createRateLimitStore(monotonicNow: () => number): FastifyRateLimitStoreCtor {
  return class RateLimitStore implements FastifyRateLimitStore {
    readonly #windows = new Map<string, Window>()

    incr: FastifyRateLimitStore['incr'] = (caller, done, windowMs) => {
      const nowMs = monotonicNow()
      let window = this.#windows.get(caller)
      if (window === undefined || nowMs - window.startedMs >= windowMs) {
        window = { startedMs: nowMs, requests: 0 }
        this.#windows.delete(caller)
        this.#windows.set(caller, window)
        const [oldest] = this.#windows.keys()
        if (this.#windows.size > MAX_CALLERS && oldest !== undefined) this.#windows.delete(oldest)
      }
      window.requests++
      done(null, { current: window.requests, ttl: Math.ceil(windowMs - (nowMs - window.startedMs)) })
    }

    child(): FastifyRateLimitStore {
      return new RateLimitStore()
    }
  }
}

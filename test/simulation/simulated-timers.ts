import { syncBuiltinESMExports } from 'node:module'
import timersPromises from 'node:timers/promises'
import type { Scheduler } from './scheduler.ts'

/** Makes the timers of this process those of the scheduler. @returns restores them. */
export function installTimers(scheduler: Scheduler): () => void {
  const before = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setImmediate: globalThis.setImmediate,
  }
  const promised = timersPromises.setTimeout
  const delay = async (ms = 0, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    await new Promise((resolve, reject) => {
      const cancel = scheduler.after(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve(value)
      })
      const abort = () => {
        cancel()
        reject(signal?.reason)
      }
      if (signal?.aborted === true) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  const cancels = new WeakMap<object, () => void>()
  const set = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const handle = { unref: () => handle, ref: () => handle }
    cancels.set(
      handle,
      scheduler.after(ms, () => run(...args)),
    )
    return handle
  }
  Object.assign(timersPromises, { setTimeout: delay })
  syncBuiltinESMExports()
  Object.assign(globalThis, {
    setTimeout: set,
    clearTimeout: (handle: object | undefined) => handle && cancels.get(handle)?.(),
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => set(run, 0, ...args),
  })
  return () => {
    Object.assign(timersPromises, { setTimeout: promised })
    syncBuiltinESMExports()
    Object.assign(globalThis, before)
  }
}

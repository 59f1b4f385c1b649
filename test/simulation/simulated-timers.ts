import { syncBuiltinESMExports } from 'node:module'
import timersPromises from 'node:timers/promises'
import type { Scheduler } from './scheduler.ts'

let scheduler: Scheduler | undefined

/** Makes the timers of this process those of the scheduler, until another one is given. There is no way back. */
export function useTimersOf(next: Scheduler): void {
  if (scheduler === undefined) replaceTimers()
  scheduler = next
}

function after(ms: number, run: () => void): () => void {
  if (scheduler === undefined) throw new Error('no schedule is running')
  return scheduler.after(ms, run)
}

async function delay(ms = 0, value?: unknown, { signal }: { signal?: AbortSignal } = {}): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const cancel = after(ms, () => {
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
}

function replaceTimers(): void {
  const cancels = new WeakMap<object, () => void>()
  const set = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const handle = { unref: () => handle, ref: () => handle }
    cancels.set(
      handle,
      after(ms, () => run(...args)),
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
}

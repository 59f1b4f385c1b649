import { eventually, type EventuallyOptions } from './eventually.ts'

/** For what takes a second or two, and a minute when the machine has other things to do. */
export function patiently<T>(check: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  return eventually(check, { timeoutMs: 60_000, ...options })
}

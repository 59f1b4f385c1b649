/** At a time, by lists, lookups, searches and exports: enough to keep Redis busy for about ten milliseconds. */
export const MAX_DEVICES_IN_PROGRESS = 2_048

/** Resolves as `read` does, once it may begin. */
export type ReadingQueue = <Result>(devices: number, read: () => Promise<Result>) => Promise<Result>

/**
 * Lets reads of many devices begin in order of arrival, while those in progress ask for fewer than `maxDevices` devices
 * together. Redis answers them one after the other anyway; without a limit, all their replies would be in memory at once.
 */
export function createReadingQueue(maxDevices: number): ReadingQueue {
  const waiting: { readonly devices: number; begin(): void }[] = []
  let inProgress = 0

  function beginWaiting(): void {
    while (inProgress < maxDevices) {
      const next = waiting.shift()
      if (next === undefined) return
      inProgress += next.devices
      next.begin()
    }
  }

  return async (devices, read) => {
    if (inProgress < maxDevices) inProgress += devices
    else await new Promise<void>((begin) => waiting.push({ devices, begin }))
    try {
      return await read()
    } finally {
      inProgress -= devices
      beginWaiting()
    }
  }
}

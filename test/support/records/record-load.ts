import { setTimeout as sleep } from 'node:timers/promises'
import { createDeviceFleet, type FleetOptions } from '../../simulator/device-fleet.ts'
import { fromFleet, type TaggedRecord } from './tagged-records.ts'

export type LoadOptions = FleetOptions & { readonly perSecond: number }

/** Sends records of a fleet at a steady rate, before, during and after a fault. */
export type Load = {
  readonly sent: number
  /** Stops sending, and resolves once everything sent has been acknowledged. */
  stop(): Promise<void>
}

const TICK_MS = 50

export function startLoad(
  send: (records: readonly TaggedRecord[]) => Promise<void>,
  options: LoadOptions,
): Load {
  const fleet = createDeviceFleet(options)
  const stopping = new AbortController()
  let sent = 0

  async function run(): Promise<void> {
    const startedMs = performance.now()
    while (!stopping.signal.aborted) {
      const due = Math.floor(((performance.now() - startedMs) / 1000) * options.perSecond) - sent
      if (due > 0) {
        await send(fleet.records(due, Date.now()).map(fromFleet))
        sent += due
      }
      await sleep(TICK_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  const running = run()
  // `stop` reports the error.
  running.catch(() => undefined)
  return {
    get sent() {
      return sent
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}

import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { eventTimeFromMs } from '../../core/event-time.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import { settledWithin, sleep } from '../../lifecycle/sleep.ts'
import type { CanaryStage, CanaryTelemetry } from '../../telemetry/canary-telemetry.ts'

/** The event time of the newest record of the canary's device; undefined: there is none. */
type ReadEventTime = (stop: AbortSignal) => Promise<string | undefined>

export type CanaryDependencies = Clocks & {
  readonly deviceId: DeviceId
  readonly everyMs: number
  /** Sends a record to the topic of the workers. @returns its partition. */
  readonly send: (key: string, value: string) => Promise<number>
  readonly readStored: ReadEventTime
  /** undefined: no API is asked. */
  readonly readServed: ReadEventTime | undefined
  readonly telemetry: Pick<CanaryTelemetry, 'reached' | 'arrived' | 'failed' | 'loopFailed'>
  readonly monitor: LoopMonitor
}

/** For all stages together. Shorter than a turn of a loop may take: a server that hangs does not make this process look stuck. */
const TIMEOUT_MS = 30_000
const FIRST_POLL_MS = 20
const LONGEST_POLL_MS = 1_000
const NOT_IN_TIME = `not within ${TIMEOUT_MS / 1000} s`

/**
 * Sends a record of a device of its own to the topic of the workers, and measures when Kafka has acknowledged it, Redis holds
 * it, and the API serves it: the way of every record. As in KMinion's end-to-end probe, each partition has its turn.
 */
export function createCanary(dependencies: CanaryDependencies): Service {
  const { deviceId, everyMs, monitor, monotonicNow, now, readServed, readStored, telemetry } = dependencies
  /** One at a time: a broker that hangs keeps the client busy for longer than a turn takes. */
  let sending: Promise<number> | undefined

  async function send(eventTime: string): Promise<number> {
    if (sending !== undefined) throw new Error('Kafka has not answered for the record before')
    const sent = dependencies.send(deviceId, canaryRecord(deviceId, eventTime))
    sending = sent
    void sent.catch(() => undefined).finally(() => (sending = undefined))
    if (!(await settledWithin(sent, TIMEOUT_MS))) throw new Error(NOT_IN_TIME)
    return await sent
  }

  async function follow(stop: AbortSignal): Promise<void> {
    const before = await readStored(stop).catch(() => undefined)
    const sentMs = monotonicNow()
    const eventTime = eventTimeFromMs(now()).text
    const reached = (stage: CanaryStage) => telemetry.reached(stage, (monotonicNow() - sentMs) / 1000)

    /** A later event time is that of another lag monitor, unless it was there before: then a clock is wrong. */
    async function awaitArrival(read: ReadEventTime): Promise<void> {
      let failure: unknown = new Error(NOT_IN_TIME)
      let pollMs = FIRST_POLL_MS
      while (!stop.aborted && monotonicNow() - sentMs < TIMEOUT_MS) {
        try {
          const found = await read(stop)
          if (found !== undefined && found >= eventTime && found !== before) return
          failure = new Error(
            found !== undefined && found > eventTime
              ? `a record of ${found} is newer than this one: check the clock of this machine`
              : NOT_IN_TIME,
          )
        } catch (error) {
          failure = error
        }
        await sleep(pollMs, stop)
        pollMs = Math.min(2 * pollMs, LONGEST_POLL_MS)
      }
      throw failure
    }

    let stage: CanaryStage = 'acknowledged'
    let partition: number | undefined
    try {
      partition = await send(eventTime)
      reached(stage)
      stage = 'stored'
      await awaitArrival(readStored)
      reached(stage)
      if (readServed !== undefined) {
        stage = 'served'
        await awaitArrival(readServed)
        reached(stage)
      }
      telemetry.arrived(partition)
    } catch (error) {
      if (!stop.aborted) telemetry.failed(stage, partition, error)
    }
  }

  return createLoop({
    name: 'canary',
    everyMs,
    monitor,
    turn: follow,
    failed: (error) => telemetry.loopFailed('canary', error),
  })
}

/** A ValidatedOutput without values. `persist: false` asks other consumers not to store it. */
function canaryRecord(deviceId: DeviceId, timestamp: string): string {
  return JSON.stringify({
    ...{ request_id: null, timestamp, device_id: deviceId },
    ...{ values: [], labels: [], display_names: [], index: '' },
    metadata: { datatype_id: null, datatype_name: 'canary', datatype_unit: null, persist: false },
  })
}

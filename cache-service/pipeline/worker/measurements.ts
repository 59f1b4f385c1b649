import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { GroupPositions } from '../../kafka/partition-offsets.ts'
import type { WorkerConsumer } from '../../kafka/worker-consumer.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'
import type { GroupWatch } from './group-watch.ts'
import type { LagMeter } from './lag-meter.ts'
import type { WorkerFigures } from './worker-figures.ts'

const DEVICES_INTERVAL_MS = 5_000
const SUMMARY_INTERVAL_MS = 10_000

export type MeasurementDependencies = {
  readonly lag: LagMeter
  readonly lagPollIntervalMs: number
  readonly readPositions: () => Promise<GroupPositions>
  readonly countDevices: () => Promise<number>
  readonly isRedisReady: () => boolean
  readonly consumer: Pick<WorkerConsumer, 'isLeader' | 'partitions' | 'state'>
  readonly groupWatch: Pick<GroupWatch, 'unread'>
  readonly figures: WorkerFigures
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
}

export type Measurements = {
  /** Measures without waiting for the next turn of the service. */
  readonly measureLagNow: () => void
  readonly services: readonly Service[]
}

/** Measures the lag and the number of devices, and logs a summary line, each in a loop of its own. */
export function createMeasurements(dependencies: MeasurementDependencies): Measurements {
  const { consumer, figures, groupWatch, lag, monitor, telemetry } = dependencies
  const failed = (name: string) => (error: unknown) => telemetry.loopFailed(name, error)
  const loop = (name: string, everyMs: number, turn: () => Promise<void>, firstAfterMs = 0) =>
    createLoop({ name, everyMs, firstAfterMs, monitor, turn, failed: failed(name) })

  async function measureLag(): Promise<void> {
    const positions = await dependencies.readPositions()
    const lags = lag.measure(positions, consumer.partitions)
    figures.lagMeasured(lags)
    // Only the leader, so that a sum over all workers counts each partition once.
    const withoutOwner = consumer.isLeader
      ? groupWatch.unread.flatMap(({ partition, reason }) => (reason === 'stuck' ? [] : [partition]))
      : []
    telemetry.lagMeasured(new Map([...lag.measure(positions, withoutOwner), ...lags]))
  }

  const services = [
    loop('lag', dependencies.lagPollIntervalMs, measureLag),
    loop('devices', DEVICES_INTERVAL_MS, async () => {
      if (!dependencies.isRedisReady()) return
      const devices = await dependencies.countDevices()
      telemetry.devicesCounted(devices)
      figures.devicesCounted(devices)
    }),
    loop(
      'summary',
      SUMMARY_INTERVAL_MS,
      async () => {
        const { devices, lagRecords } = figures
        telemetry.summary({ state: consumer.state, lag: lagRecords, devices })
      },
      SUMMARY_INTERVAL_MS,
    ),
  ]
  return { measureLagNow: () => void measureLag().catch(failed('lag')), services }
}

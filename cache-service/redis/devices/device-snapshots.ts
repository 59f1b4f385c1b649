import { untilAborted } from '../../../shared/abort.ts'
import { SearchTable } from '../../core/devices/search-table.ts'
import type { TableLimits } from '../../core/devices/device-table.ts'
import { runSliced } from '../../lifecycle/run-sliced.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import type { ScanResult } from '../../telemetry/api-metrics.ts'
import type { DeviceScan, DeviceScanOptions } from './device-scan.ts'

export type SnapshotDependencies = Clocks & {
  readonly scan: (options: DeviceScanOptions) => Promise<DeviceScan>
  readonly maxDevices: number
  readonly scanned: (result: ScanResult, devices: number, seconds: number) => void
  readonly progress?: (devices: number) => void
}

export type Snapshot = {
  readonly table: SearchTable
  readonly asOfMs: number
  readonly isTruncated: boolean
}

/** On average an id may have this many bytes, up to 256. */
const ID_BYTES_PER_DEVICE = 64
const MAX_TYPE_CHARACTERS = 8_000_000
const FRESH_MS = 250
/** A snapshot is used for this many times as long as it took, so that scans take at most a tenth of the time. */
const FRESH_PER_SCAN_MS = 9
const KEPT_UNUSED_MS = 60_000

type Scanning = { readonly snapshot: Promise<Snapshot>; readonly stop: AbortController; waiting: number }

/** The latest snapshot of all devices. One scan at a time serves all callers; it is cancelled when they are all gone. */
export class DeviceSnapshots {
  readonly #dependencies: SnapshotDependencies
  #latest: (Snapshot & { readonly freshUntilMs: number }) | undefined
  #scanning: Scanning | undefined
  #forgetting: NodeJS.Timeout | undefined

  constructor(dependencies: SnapshotDependencies) {
    this.#dependencies = dependencies
  }

  /** @param asOfMs a snapshot of this time is also good if it is no longer fresh: it continues an earlier search. */
  async get(asOfMs: number | undefined, signal: AbortSignal): Promise<Snapshot> {
    signal.throwIfAborted()
    const latest = this.#latest
    if (
      latest !== undefined &&
      (latest.asOfMs === asOfMs || this.#dependencies.monotonicNow() < latest.freshUntilMs)
    ) {
      this.#forgetWhenUnused()
      return latest
    }
    const scanning = (this.#scanning ??= this.#beginScan())
    scanning.waiting++
    try {
      return await untilAborted(scanning.snapshot, signal)
    } finally {
      scanning.waiting--
      if (scanning.waiting === 0) scanning.stop.abort()
    }
  }

  #beginScan(): Scanning {
    const stop = new AbortController()
    const snapshot = this.#scan(stop.signal)
    const scanning: Scanning = { snapshot, stop, waiting: 0 }
    const ended = () => {
      if (this.#scanning === scanning) this.#scanning = undefined
    }
    // Callers that come after a scan was cancelled begin another one.
    stop.signal.addEventListener('abort', ended)
    // The callers handle its errors.
    void snapshot.catch(() => undefined).finally(ended)
    return scanning
  }

  async #scan(signal: AbortSignal): Promise<Snapshot> {
    const { maxDevices, monotonicNow, now, progress = () => undefined, scan, scanned } = this.#dependencies
    const limits: TableLimits = {
      maxDevices,
      maxIdBytes: Math.max(256, Math.min(maxDevices * ID_BYTES_PER_DEVICE, 2 ** 31)),
      maxTypeCharacters: MAX_TYPE_CHARACTERS,
    }
    const asOfMs = now()
    const startedMs = monotonicNow()
    let devices = 0
    const ended = (result: ScanResult) => scanned(result, devices, (monotonicNow() - startedMs) / 1000)
    try {
      const { isTruncated, table } = await scan({
        limits,
        signal,
        progress: (count) => {
          devices = count
          progress(count)
        },
      })
      const searchable = await runSliced(SearchTable.of(table), signal, monotonicNow)
      const endedMs = monotonicNow()
      const freshMs = Math.max(FRESH_MS, (endedMs - startedMs) * FRESH_PER_SCAN_MS)
      const snapshot = { table: searchable, asOfMs, isTruncated, freshUntilMs: endedMs + freshMs }
      this.#latest = snapshot
      this.#forgetWhenUnused()
      ended(isTruncated ? 'truncated' : 'complete')
      return snapshot
    } catch (error) {
      ended(signal.aborted ? 'cancelled' : 'failed')
      throw error
    }
  }

  #forgetWhenUnused(): void {
    clearTimeout(this.#forgetting)
    this.#forgetting = setTimeout(() => {
      this.#latest = undefined
    }, KEPT_UNUSED_MS).unref()
  }
}

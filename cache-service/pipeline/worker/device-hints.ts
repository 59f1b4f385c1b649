import type { DeviceId } from '../../../shared/contract/device-id.ts'
import type { ChunkPlan } from '../../core/records/plan.ts'
import type { DeleteStatus, WriteOutcome, WriteStatus } from '../../core/records/write-outcome.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { HintAppender } from '../../redis/events/event-streams.ts'

/** At most four entries a second of each kind. */
const APPEND_INTERVAL_MS = 250
const LISTENERS_INTERVAL_MS = 1_000
const IDS_PER_ENTRY = 250
const CHARACTERS_PER_ENTRY = 16 * 1024

type Kind = 'changed' | 'deleted'

/**
 * Appends hints about changed and deleted devices to the event stream, for the clients that follow it. Delivery is at
 * most once, and never delays a chunk: `note` only collects, while some API listens, and a loop appends.
 *
 * Hints that are not appended (no API listens, a rebuild, a failure of Redis, the end of the worker that noted them), or that a
 * failover may have lost, leave a gap in the stream, so that clients learn that they have missed something.
 */
export class DeviceHints {
  readonly #appender: HintAppender
  readonly #pending: Record<Kind, PendingIds> = { changed: createPendingIds(), deleted: createPendingIds() }
  #hasListeners = false
  #isRebuilding = false
  #assigned: ReadonlySet<number> = new Set()
  #gapOwed: 'missed' | 'rebuild' | undefined

  constructor(appender: HintAppender) {
    this.#appender = appender
  }

  /** Call when a rebuild begins or ends. */
  rebuilding(isRebuilding: boolean): void {
    if (isRebuilding) this.#gapOwed = 'rebuild'
    this.#isRebuilding = isRebuilding
  }

  /** Call with all partitions that are assigned: the last owner of a new one may have ended before it appended its hints. */
  assigned(partitions: readonly number[]): void {
    if (partitions.some((partition) => !this.#assigned.has(partition))) this.#gapOwed ??= 'missed'
    this.#assigned = new Set(partitions)
  }

  /**
   * Call when a chunk has become durable. What it found unchanged counts as well: usually, this chunk or another worker has written it
   * in an attempt that failed later, and that was not hinted at. Records that really change nothing are rare.
   */
  note(plan: ChunkPlan, outcome: WriteOutcome): void {
    if (!this.#hasListeners) this.#gapOwed ??= 'missed'
    // The gap covers this chunk, too.
    if (this.#gapOwed !== undefined) return
    for (let i = 0; i < plan.deletes.length; i++) {
      const deviceId = plan.deletes[i]?.deviceId
      if (deviceId !== undefined && isDeleted(outcome.deletes[i])) this.#add('deleted', deviceId)
    }
    for (let i = 0; i < plan.updates.length; i++) {
      const deviceId = plan.updates[i]?.deviceId
      if (deviceId !== undefined && isChanged(outcome.updates[i])) this.#add('changed', deviceId)
    }
  }

  /** Failures are not logged: whatever fails here fails for the worker's own writes, too, and is logged there. */
  services(monitor: LoopMonitor): Service[] {
    const loop = (name: string, everyMs: number, turn: () => Promise<void>) =>
      createLoop({ name, everyMs, monitor, turn, failed: () => undefined })
    return [
      loop('device hints', APPEND_INTERVAL_MS, () => this.#append()),
      loop('device hint listeners', LISTENERS_INTERVAL_MS, async () => {
        this.#hasListeners = await this.#appender.hasListeners()
      }),
    ]
  }

  async #append(): Promise<void> {
    if (this.#isRebuilding) return
    if (this.#appender.mayHaveLost()) this.#gapOwed ??= 'missed'
    const gap = this.#gapOwed
    // A missed gap waits for a listener. A rebuild's is appended as soon as the rebuild is over.
    if (gap === 'rebuild' || (gap === 'missed' && this.#hasListeners)) {
      this.#gapOwed = undefined
      try {
        await this.#appender.gap(gap)
      } catch (error) {
        this.#gapOwed ??= gap
        throw error
      }
    }
    for (const kind of ['changed', 'deleted'] as const) {
      const { ids, more } = this.#pending[kind]
      if (ids.size === 0) continue
      this.#pending[kind] = createPendingIds()
      try {
        await this.#appender.hint(kind, [...ids], more)
      } catch (error) {
        this.#gapOwed ??= 'missed'
        throw error
      }
    }
  }

  #add(kind: Kind, deviceId: DeviceId): void {
    const pending = this.#pending[kind]
    // A device is in one of the two entries only: the later event counts.
    this.#pending[kind === 'changed' ? 'deleted' : 'changed'].ids.delete(deviceId)
    if (pending.ids.has(deviceId)) return
    if (pending.ids.size >= IDS_PER_ENTRY || pending.characters + deviceId.length > CHARACTERS_PER_ENTRY) {
      pending.more++
      return
    }
    pending.ids.add(deviceId)
    pending.characters += deviceId.length
  }
}

function isChanged(status: WriteStatus | undefined): boolean {
  return status === 'changed' || status === 'unchanged'
}

function isDeleted(status: DeleteStatus | undefined): boolean {
  return status === 'deleted' || status === 'absent'
}

type PendingIds = { readonly ids: Set<DeviceId>; characters: number; more: number }

function createPendingIds(): PendingIds {
  return { ids: new Set(), characters: 0, more: 0 }
}

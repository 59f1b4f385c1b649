import type { DeviceId } from '../../../shared/contract/device-id.ts'
import type { ChunkPlan } from '../../core/records/plan.ts'
import type { WriteOutcome } from '../../core/records/write-outcome.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { HintAppender } from '../../redis/events/event-streams.ts'

/** Four entries a second of each kind, at most. */
const APPEND_INTERVAL_MS = 250
const HEARD_INTERVAL_MS = 1_000
const IDS_PER_ENTRY = 250
const CHARACTERS_PER_ENTRY = 16 * 1024

type Kind = 'changed' | 'deleted'

/**
 * Tells whoever follows the events which devices have changed. At most once, and never in the way of a chunk:
 * `note` only remembers, for as long as somebody listens; a loop of its own appends.
 *
 * What was not told (nobody listened, a rebuild, too much at once with Redis failing) leaves a gap behind, so
 * that a client that comes back to its old place learns that it missed something.
 */
export class DeviceHints {
  readonly #appender: HintAppender
  readonly #pending: Record<Kind, PendingIds> = { changed: createPendingIds(), deleted: createPendingIds() }
  #isHeard = false
  #isRebuilding = false
  #gapOwed: 'missed' | 'rebuild' | undefined

  constructor(appender: HintAppender) {
    this.#appender = appender
  }

  /** Data that Redis lost are being read again, or no longer. */
  rebuilding(yes: boolean): void {
    if (yes) this.#gapOwed = 'rebuild'
    this.#isRebuilding = yes
  }

  /** A chunk is durable. */
  note(plan: ChunkPlan, outcome: WriteOutcome): void {
    if (!this.#isHeard) this.#gapOwed ??= 'missed'
    // The gap that is owed will say it all.
    if (this.#gapOwed !== undefined) return
    for (let i = 0; i < plan.deletes.length; i++) {
      const deviceId = plan.deletes[i]?.deviceId
      if (deviceId !== undefined && outcome.deletes[i] === 'deleted') this.#add('deleted', deviceId)
    }
    for (let i = 0; i < plan.updates.length; i++) {
      const deviceId = plan.updates[i]?.deviceId
      if (deviceId !== undefined && outcome.updates[i] === 'changed') this.#add('changed', deviceId)
    }
  }

  /** Failures are nobody's business: whatever keeps us from Redis keeps the worker from it, which speaks of it. */
  services(monitor: LoopMonitor): Service[] {
    const loop = (name: string, everyMs: number, turn: () => Promise<void>) =>
      createLoop({ name, everyMs, monitor, turn, failed: () => undefined })
    return [
      loop('device hints', APPEND_INTERVAL_MS, () => this.#append()),
      loop('device hints heard', HEARD_INTERVAL_MS, async () => {
        this.#isHeard = await this.#appender.hasListeners()
      }),
    ]
  }

  async #append(): Promise<void> {
    if (this.#isRebuilding) return
    const gap = this.#gapOwed
    // One that nobody hears is kept for those who will; a rebuild's is told as soon as it is over.
    if (gap === 'rebuild' || (gap === 'missed' && this.#isHeard)) {
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
    // The later one counts: a device is in one of the two entries only.
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

type PendingIds = { readonly ids: Set<DeviceId>; characters: number; more: number }

function createPendingIds(): PendingIds {
  return { ids: new Set(), characters: 0, more: 0 }
}

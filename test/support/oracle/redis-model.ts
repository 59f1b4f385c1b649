import type { ChunkPlan } from '../../../cache-service/core/records/plan.ts'
import type {
  DeleteStatus,
  WriteOutcome,
  WriteStatus,
} from '../../../cache-service/core/records/write-outcome.ts'
import { literalOrder } from '../records/arbitrary-states.ts'

export type ModelHash = {
  readonly lastUpdated: string
  readonly fields: readonly string[]
  /** Milliseconds since 1970; 0: never. */
  readonly expiresAtMs: number
}

/** The content of Redis according to the documented rules, as plain data. Nothing in it ever expires. */
export class RedisModel {
  readonly hashes = new Map<string, ModelHash>()
  readonly index = new Set<string>()

  /** Applies all deletes of a plan, then all updates; a device occurs at most once in each of the two steps. */
  write(plan: ChunkPlan): WriteOutcome {
    return {
      deletes: plan.deletes.map(({ deviceId, deletesUpTo }) => this.#delete(deviceId, deletesUpTo)),
      updates: plan.updates.map((update) => this.#update(update.deviceId, update)),
    }
  }

  /** A sorted copy, to be compared with that of another model. */
  snapshot() {
    const sorted = [...this.hashes].sort(([a], [b]) => (a < b ? -1 : 1))
    return { hashes: Object.fromEntries(sorted), index: [...this.index].sort() }
  }

  #update(deviceId: string, update: ModelHash): WriteStatus {
    this.index.add(deviceId)
    const stored = this.hashes.get(deviceId)
    const order = stored === undefined ? -1 : literalOrder(stored, update)
    const { lastUpdated, fields } = order < 0 || stored === undefined ? update : stored
    const expiresAtMs = Math.max(stored?.expiresAtMs ?? 0, update.expiresAtMs)
    this.hashes.set(deviceId, { lastUpdated, fields, expiresAtMs })
    if (order < 0) return 'changed'
    return order === 0 ? 'unchanged' : 'stale'
  }

  #delete(deviceId: string, deletesUpTo: string): DeleteStatus {
    const stored = this.hashes.get(deviceId)
    if (stored !== undefined && stored.lastUpdated > deletesUpTo) return 'kept'
    this.index.delete(deviceId)
    return this.hashes.delete(deviceId) ? 'deleted' : 'absent'
  }
}

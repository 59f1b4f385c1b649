import { eventTimeFromMs } from '../../../cache-service/core/event-time.ts'
import type { ChunkPlan } from '../../../cache-service/core/records/plan.ts'
import { deviceId } from './record-builder.ts'

export type PlannedUpdate = {
  readonly id: string
  /** In the format in which it is stored. */
  readonly lastUpdated: string
  /** name, value, …, ordered by name. */
  readonly fields: readonly string[]
  /** 0: never. */
  readonly expiresAtMs: number
}

export type PlannedDelete = { readonly id: string; readonly deletesUpTo: string }

const DAY_MS = 86_400_000

/** A hand-made plan, for cases that no record leads to. */
export function writePlan(
  updates: readonly PlannedUpdate[],
  deletes: readonly PlannedDelete[] = [],
  nowMs = Date.now(),
): ChunkPlan {
  return {
    updates: updates.map(({ id, ...update }, index) => ({ index, deviceId: deviceId(id), ...update })),
    deletes: deletes.map(({ id, deletesUpTo }, index) => ({ index, deviceId: deviceId(id), deletesUpTo })),
    trustedUpTo: eventTimeFromMs(nowMs + DAY_MS).text,
    rejections: [],
    superseded: 0,
    tombstones: deletes.length,
    skipped: 0,
    expired: 0,
    clockSkews: 0,
    suspiciousTimes: {},
    recordTimesMs: new Float64Array(updates.length + deletes.length),
    internalErrorsInARow: 0,
    mostInternalErrorsInARow: 0,
  }
}

/** The event time `afterMs` milliseconds after `nowMs`. */
export function timeText(nowMs: number, afterMs = 0): string {
  return eventTimeFromMs(nowMs + afterMs).text
}

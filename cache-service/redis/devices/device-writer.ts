import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import type { ChunkPlan } from '../../core/records/plan.ts'
import type { DeleteStatus, WriteOutcome, WriteStatus } from '../../core/records/write-outcome.ts'
import { createScriptRunner } from '../script.ts'
import { deleteCalls, updateCalls, type ScriptCall, type ScriptLimits } from './script-calls.ts'

/**
 * Sends a chunk's plan to Redis: one round trip for the deletes, if there are any, and one for the updates.
 *
 * When it resolves, every device of the plan has been compared and, if its update or delete won, written. When it
 * rejects with a ServiceError, some devices may not have been; the same plan may then be sent again.
 */
export type DeviceWriter = { write(plan: ChunkPlan): Promise<WriteOutcome> }

const UPDATE_STATUSES = ['stale', 'unchanged', 'changed'] as const
const DELETE_STATUSES = ['kept', 'absent', 'deleted'] as const

export function createDeviceWriter(redis: Redis, limits: ScriptLimits): DeviceWriter {
  const applyUpdates = createScriptRunner(redis, new URL('./apply-updates.lua', import.meta.url))
  const deleteDevices = createScriptRunner(redis, new URL('./delete-devices.lua', import.meta.url))

  return {
    async write(plan) {
      const invocation = ({ keys, packed }: ScriptCall) => ({ keys, args: [packed, plan.trustedUpTo] })
      // Deletes come first and never share a pipeline with the updates: a device may be in both.
      const deleted = await deleteDevices(deleteCalls(plan.deletes, limits).map(invocation))
      const updated = await applyUpdates(updateCalls(plan.updates, limits).map(invocation))
      return {
        deletes: statuses(deleted, DELETE_STATUSES, plan.deletes.length) satisfies DeleteStatus[],
        updates: statuses(updated, UPDATE_STATUSES, plan.updates.length) satisfies WriteStatus[],
      }
    },
  }
}

type Refused = Extract<WriteStatus, object>

function statuses<Name extends string>(
  replies: readonly unknown[],
  names: readonly Name[],
  expected: number,
): (Name | Refused)[] {
  const found = replies.flat().map((status): Name | Refused => {
    if (typeof status === 'string') return { refused: redisError(new Error(status)) }
    const name = typeof status === 'number' ? names[status] : undefined
    if (name === undefined)
      throw redisError(new Error(`a script returned the unknown status ${String(status)}`))
    return name
  })
  if (found.length !== expected) {
    throw redisError(new Error(`the scripts returned ${found.length} statuses for ${expected} devices`))
  }
  return found
}

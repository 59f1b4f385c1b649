import { redisError } from '../../../shared/errors.ts'
import { DEVICE_INDEX_KEY } from '../../../shared/contract/keys.ts'
import type { ChunkPlan } from '../../core/records/plan.ts'
import type { DeleteStatus, WriteOutcome, WriteStatus } from '../../core/records/write-outcome.ts'
import { createScriptRunner } from '../script.ts'
import type { ProgressStep } from '../workers/progress-store.ts'
import { deleteCalls, updateCalls, type ScriptCall, type ScriptLimits } from './script-calls.ts'
import type { RedisClient } from '../redis-client.ts'

/**
 * Sends a chunk's plan to Redis: one round trip for the deletes, if there are any, and one for the updates. The device
 * index follows the hashes.
 *
 * When it resolves, every device of the plan has been compared and, if its update or delete won, written, and `replicated`
 * has resolved. When it rejects with a ServiceError, some devices may not have been; the same plan may then be sent again.
 *
 * @param advance to be taken in the same round trip as the updates, so that a small chunk needs only one. It is taken only
 *   if the plan has no deletes, its updates fit into one call, Redis refuses none of them, and the stored progress is the
 *   expected one.
 */
export type DeviceWriter = {
  write(plan: ChunkPlan, advance?: ProgressStep): Promise<WriteOutcome & { readonly hasAdvanced: boolean }>
}

const UPDATE_STATUSES = ['stale', 'unchanged', 'changed', 'expired'] as const
const DELETE_STATUSES = ['kept', 'absent', 'deleted'] as const

export function createDeviceWriter(
  redis: RedisClient,
  limits: ScriptLimits,
  replicated: () => Promise<void> = () => Promise.resolve(),
): DeviceWriter {
  const applyUpdates = createScriptRunner(redis, new URL('./apply-updates.lua', import.meta.url))
  const deleteDevices = createScriptRunner(redis, new URL('./delete-devices.lua', import.meta.url))

  return {
    async write(plan, advance) {
      const invocation = ({ keys, packed }: ScriptCall) => ({
        keys: [...keys, DEVICE_INDEX_KEY],
        args: [packed, plan.trustedUpTo],
      })
      // Deletes come first and never share a pipeline with the updates: a device may be in both.
      const deleted = await deleteDevices(deleteCalls(plan.deletes, limits).map(invocation))
      const updates = updateCalls(plan.updates, limits).map(invocation)
      const [only, ...others] = updates
      if (advance !== undefined && plan.deletes.length === 0 && only !== undefined && others.length === 0) {
        only.keys.push(advance.key)
        only.args.push(...advance.args)
      }
      const updated = (await applyUpdates(updates)) as [statuses: unknown[], advanced: number][]
      if (plan.deletes.length > 0 || plan.updates.length > 0) await replicated()
      return {
        deletes: statuses(deleted.flat(), DELETE_STATUSES, plan.deletes.length) satisfies DeleteStatus[],
        updates: statuses(
          updated.flatMap(([found]) => found),
          UPDATE_STATUSES,
          plan.updates.length,
        ) satisfies WriteStatus[],
        hasAdvanced: updated.some(([, advanced]) => advanced === 1),
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
  const found = replies.map((status): Name | Refused => {
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

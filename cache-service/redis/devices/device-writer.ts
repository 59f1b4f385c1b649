import { randomUUID } from 'node:crypto'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import type { ChunkPlan, DeviceDelete, DeviceWrite } from '../../core/records/plan.ts'
import type { DeleteStatus, WriteOutcome, WriteStatus } from '../../core/records/write-outcome.ts'
import { ELSEWHERE, isElsewhere, scatter } from '../cluster/scatter.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { createScript, type Script, type ScriptTarget } from '../script.ts'
import type { ProgressStep } from '../workers/progress-store.ts'
import { createDeviceIndex } from './device-index.ts'
import { deleteCalls, updateCalls, type ScriptCall, type ScriptLimits } from './script-calls.ts'

/**
 * Sends a chunk's plan to Redis: one round trip for the deletes, if there are any, and one for the updates. The device
 * index follows the hashes: in the same script, or in a Cluster, where it is on one of the masters, in a further round trip.
 *
 * When it resolves, every device of the plan has been compared and, if its update or delete won, written, and `replicated`
 * has resolved. When it rejects with a ServiceError, some devices may not have been; the same plan may then be sent again.
 *
 * @param advance to be taken in the same round trip as the updates. It is taken only if the plan has no deletes, Redis refuses none
 *   of the updates, and the stored progress is the expected one.
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
  const applyUpdates = createScript(new URL('./apply-updates.lua', import.meta.url))
  const deleteDevices = createScript(new URL('./delete-devices.lua', import.meta.url))
  const index = createDeviceIndex(redis)
  const hasIndexElsewhere = isCluster(redis)

  async function removeDevices({ deletes, trustedUpTo }: ChunkPlan): Promise<DeleteStatus[]> {
    const statuses = await scatter(redis, deletes, keyOf, async (target, some: readonly DeviceDelete[]) => {
      const replies = await callEach(deleteDevices, target, deleteCalls(some, limits), [trustedUpTo])
      return statusesOf(replies.flat(), DELETE_STATUSES, some.length)
    })
    if (hasIndexElsewhere) await index.remove(idsWith(deletes, statuses, ['absent', 'deleted']))
    return statuses
  }

  async function updateDevices({ trustedUpTo, updates }: ChunkPlan, advance: ProgressStep | undefined) {
    let hasAdvanced = false
    const statuses: WriteStatus[] = await scatter(
      redis,
      updates,
      keyOf,
      async (target, some: readonly DeviceWrite[]) => {
        const calls = updateCalls(some, limits)
        const replies = (await callEach(applyUpdates, target, calls, [trustedUpTo], advance)) as UpdateReply[]
        hasAdvanced ||= replies.some(([, advanced]) => advanced === 1)
        return statusesOf(
          replies.flatMap(([found]) => found),
          UPDATE_STATUSES,
          some.length,
        )
      },
    )
    // All that have a hash, because the index may have lost what the hashes have not.
    if (hasIndexElsewhere) await index.add(idsWith(updates, statuses, ['stale', 'unchanged', 'changed']))
    return { statuses, hasAdvanced }
  }

  return {
    async write(plan, advance) {
      // Deletes come first and never share a pipeline with the updates: a device may be in both.
      const deletes: DeleteStatus[] = await removeDevices(plan)
      const step = plan.deletes.length === 0 ? advance : undefined
      const { hasAdvanced, statuses } = await updateDevices(plan, step)
      if (plan.deletes.length > 0 || plan.updates.length > 0) await replicated()
      return { deletes, updates: statuses, hasAdvanced }
    },
  }
}

function keyOf({ deviceId }: DeviceWrite | DeviceDelete): string {
  return deviceKey(deviceId)
}

/**
 * The index and the progress are given to the script if they are on the server where it runs. Each call leaves a mark for the next
 * one, so that the last one advances the progress only if all before it have been executed.
 */
async function callEach(
  script: Script,
  target: ScriptTarget,
  calls: readonly ScriptCall[],
  args: readonly string[],
  advance?: ProgressStep,
): Promise<unknown[]> {
  const isAlone = target.kind === 'server'
  const step = isAlone ? advance : undefined
  const furtherKeys = isAlone ? [DEVICE_INDEX_KEY, ...(step === undefined ? [] : [step.key])] : []
  const marks = step === undefined ? [] : marksBetween(calls.length)
  return await script(
    target,
    calls.map(({ keys, packed }, i) => ({
      keys: [...keys, ...furtherKeys],
      args: [packed, ...args, ...(step === undefined ? [] : [...step.args, ...marks.slice(i, i + 2)])],
    })),
  )
}

/** The marks before, between and after the calls; '': none. Another worker, or an earlier attempt, may be writing the same chunk. */
function marksBetween(calls: number): string[] {
  const attempt = randomUUID()
  return ['', ...Array.from({ length: calls - 1 }, (_, i) => `${attempt}:${i + 1}`), '']
}

function idsWith<Write extends DeviceWrite | DeviceDelete>(
  writes: readonly Write[],
  statuses: readonly unknown[],
  wanted: readonly string[],
) {
  return writes.filter((_, i) => wanted.includes(statuses[i] as string)).map(({ deviceId }) => deviceId)
}

/** Of apply-updates.lua. */
type UpdateReply = readonly [statuses: readonly unknown[], advanced: number]

type Refused = Extract<WriteStatus, object>

function statusesOf<Name extends string>(
  replies: readonly unknown[],
  names: readonly Name[],
  expected: number,
): (Name | Refused | typeof ELSEWHERE)[] {
  const found = replies.map((status): Name | Refused | typeof ELSEWHERE => {
    if (isElsewhere(status)) return ELSEWHERE
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

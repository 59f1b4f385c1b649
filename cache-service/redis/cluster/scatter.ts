import { redisError, type ServiceError } from '../../../shared/errors.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { redisReplies } from '../reply.ts'
import { scriptTarget, type ScriptTarget } from '../script.ts'
import { onMaster, SlotTable, type SlotOwners } from './slots.ts'
import { keySlot } from '../../../shared/redis-client/key-slot.ts'

/**
 * What a script returns for a key that the server does not own, or not any more: the error that the server gives to the script.
 * Redis: `Script attempted to access a non local key …`; Valkey: `Attempted to access a non local key …`.
 */
export function isElsewhere(status: unknown): boolean {
  return typeof status === 'string' && status.includes('access a non local key')
}

/** Stands for the result of an item whose key the server did not own. */
export const ELSEWHERE = Symbol('elsewhere')

/**
 * Runs something for many keys at once: for all of them on a single server, or for those of each master of a Cluster. What a
 * master no longer owns, or holds in a slot that is just moving, is run again, each key alone, following redirections.
 *
 * @param run for items whose keys are on the target. Resolves with one result for each.
 * @param failed the result of an item on a master that fails, if others do not. By default, all fail with it.
 * @returns the results in the order of the items. Rejects with the ServiceError of the first part that failed, when all parts
 *   have ended; the other parts may have been applied.
 */
export async function scatter<Item, Result>(
  redis: RedisClient,
  items: readonly Item[],
  keyOf: (item: Item) => string,
  run: (target: ScriptTarget, items: readonly Item[]) => Promise<readonly (Result | typeof ELSEWHERE)[]>,
  failed?: (error: ServiceError) => Result,
): Promise<Result[]> {
  if (items.length === 0) return []
  const whole = scriptTarget(redis)
  if (!isCluster(redis)) return (await run(whole, items)).map(notElsewhere)
  const table = SlotTable.of(redis)
  const results: (Result | typeof ELSEWHERE)[] = Array.from({ length: items.length }, () => ELSEWHERE)
  const failures: ServiceError[] = []
  let attempts = 0

  /** Of some of the items, by their indexes. @param master undefined: the one that owns each key. */
  async function runPart(
    target: () => ScriptTarget,
    indexes: readonly number[],
    master?: string,
  ): Promise<void> {
    attempts++
    try {
      const found = await run(
        target(),
        indexes.map((i) => items[i] as Item),
      )
      for (const [n, i] of indexes.entries()) results[i] = found[n] as Result | typeof ELSEWHERE
    } catch (error) {
      const failure = master === undefined ? redisError(error) : onMaster(master, redisError(error))
      failures.push(failure)
      if (failed === undefined) throw failure
      for (const i of indexes) results[i] = failed(failure)
    }
  }

  const groups = groupByMaster(items.map(keyOf), table.owners)
  await redisReplies(
    [...groups].map(([master, indexes]) =>
      runPart(() => ({ kind: 'master', redis: table.connectionTo(master) }), indexes, master),
    ),
  )
  const left = [...results.keys()].filter((i) => results[i] === ELSEWHERE)
  await redisReplies(left.map((i) => runPart(() => whole, [i])))
  const [failure] = failures
  if (failure !== undefined && failures.length === attempts) throw failure
  return results.map(notElsewhere)
}

/** @returns the indexes of the keys of each master. Throws a ServiceError if a slot has no owner. */
function groupByMaster(keys: readonly string[], owners: SlotOwners): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  for (const [i, key] of keys.entries()) {
    const master = owners.ownerOf(keySlot(key))
    const group = groups.get(master)
    if (group === undefined) groups.set(master, [i])
    else group.push(i)
  }
  return groups
}

function notElsewhere<Result>(result: Result | typeof ELSEWHERE): Result {
  if (result !== ELSEWHERE) return result as Result
  throw redisError(new Error('TRYAGAIN a master refuses a key that was routed to it'))
}

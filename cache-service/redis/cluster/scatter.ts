import { redisError } from '../../../shared/errors.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { scriptTarget, type ScriptTarget } from '../script.ts'
import { slotOf, SlotTable } from './slots.ts'

/** What a script returns for a key that the server does not own, or not any more: the error that Redis gives to the script. */
export function isElsewhere(status: unknown): boolean {
  return typeof status === 'string' && status.includes('attempted to access a non local key')
}

/** Stands for the result of an item whose key the server did not own. */
export const ELSEWHERE = Symbol('elsewhere')

/**
 * Runs something for many keys at once: for all of them on a single server, or for those of each master of a Cluster. What a
 * master no longer owns, or holds in a slot that is just moving, is run again, each key alone, following redirections.
 *
 * @param run for items whose keys are on the target. Resolves with one result for each.
 * @returns the results in the order of the items. Rejects with the error of the first part that failed; the other parts may have
 *   been applied.
 */
export async function scatter<Item, Result>(
  redis: RedisClient,
  items: readonly Item[],
  keyOf: (item: Item) => string,
  run: (target: ScriptTarget, items: readonly Item[]) => Promise<readonly (Result | typeof ELSEWHERE)[]>,
): Promise<Result[]> {
  if (items.length === 0) return []
  const whole = scriptTarget(redis)
  if (!isCluster(redis)) return found(await run(whole, items))
  const table = SlotTable.of(redis)
  const groups = new Map<string, number[]>()
  for (const [i, item] of items.entries()) {
    const master = table.ownerOf(slotOf(keyOf(item)))
    const group = groups.get(master)
    if (group === undefined) groups.set(master, [i])
    else group.push(i)
  }
  const results: (Result | typeof ELSEWHERE)[] = Array.from({ length: items.length }, () => ELSEWHERE)
  const parts = [...groups].map(async ([master, indexes]) => {
    const target = { kind: 'master', redis: table.connectionTo(master) } as const
    const some = await run(
      target,
      indexes.map((i) => items[i] as Item),
    )
    for (const [n, i] of indexes.entries()) results[i] = some[n] as Result | typeof ELSEWHERE
  })
  await Promise.all(parts)
  const alone = results.map(async (result, i) => {
    if (result !== ELSEWHERE) return
    const [only] = await run(whole, [items[i] as Item])
    results[i] = only as Result | typeof ELSEWHERE
  })
  await Promise.all(alone)
  return found(results)
}

function found<Result>(results: readonly (Result | typeof ELSEWHERE)[]): Result[] {
  return results.map((result) => {
    if (result === ELSEWHERE)
      throw redisError(new Error('TRYAGAIN a master refuses a key that was routed to it'))
    return result as Result
  })
}

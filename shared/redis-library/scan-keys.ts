import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { RedisConnection } from './connection.ts'
import { RedisConnectionError } from './errors.ts'

/** What a master of a Cluster says about its slots. */
type Holding = {
  readonly id: string
  /** Such as `0-5460 [93->-<id of the new owner>]`. */
  readonly slots: string
}

const MAX_PASSES = 20
const WAIT_MS = 100

/**
 * Scans the server, or all masters of a Cluster.
 *
 * While slots move, a key may be moved from a master that has not been scanned yet to one that has. Then everything is scanned a second
 * time: by that time the key has arrived. A node that owns no slot yet can't be asked: it is waited for until it does.
 *
 * @param failure begins the message of an error.
 * @throws RedisConnectionError, RedisOperationError
 */
export async function scanKeys(
  connection: RedisConnection,
  pattern: string,
  failure: string,
): Promise<Set<string>> {
  const keys = new Set<string>()
  const scanAll = async (masters: readonly Redis[]) => {
    for (const master of masters) await scanOne(connection, master, pattern, failure, keys)
  }
  if (!connection.isCluster) {
    await scanAll(await connection.masters(failure))
    return keys
  }
  let completePasses = 0
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const masters = await connection.masters(failure)
    const before = await holdingsOf(connection, masters, failure)
    await scanAll(masters)
    const after = await holdingsOf(connection, await connection.masters(failure), failure)
    const isStill = !isMoving(before) && textOf(before) === textOf(after)
    completePasses += isComplete(before) ? 1 : 0
    if (isStill || completePasses >= 2) return keys
    if (!isComplete(after)) await sleep(WAIT_MS)
  }
  throw new RedisConnectionError(`${failure}: a slot is being moved to a node that owns no slot yet`)
}

async function scanOne(
  connection: RedisConnection,
  master: Redis,
  pattern: string,
  failure: string,
  keys: Set<string>,
): Promise<void> {
  let cursor = '0'
  do {
    const from = cursor
    const [next, found] = await connection.run(failure, () =>
      master.scan(from, 'MATCH', pattern, 'COUNT', 1_000),
    )
    for (const key of found) keys.add(key)
    cursor = next
  } while (cursor !== '0')
}

async function holdingsOf(
  connection: RedisConnection,
  masters: readonly Redis[],
  failure: string,
): Promise<Holding[]> {
  const replies = await connection.run(failure, () =>
    Promise.all(masters.map((master) => master.cluster('NODES'))),
  )
  return replies.map((reply) => {
    const own = String(reply)
      .split('\n')
      .find((line) => line.includes('myself'))
    const [id = '', ...fields] = own?.split(' ') ?? []
    return { id, slots: fields.slice(7).join(' ') }
  })
}

function isMoving(holdings: readonly Holding[]): boolean {
  return holdings.some(({ slots }) => slots.includes('['))
}

/** Whether every node to which a slot is being moved is among them. */
function isComplete(holdings: readonly Holding[]): boolean {
  const ids = new Set(holdings.map(({ id }) => id))
  const targets = holdings.flatMap(({ slots }) =>
    [...slots.matchAll(/->-(\w+)\]/g)].map(([, id]) => id ?? ''),
  )
  return targets.every((id) => ids.has(id))
}

function textOf(holdings: readonly Holding[]): string {
  return holdings
    .map(({ id, slots }) => `${id} ${slots}`)
    .sort()
    .join('\n')
}

import type { Redis } from 'ioredis'
import { redisError, ServiceError } from '../../../shared/errors.ts'
import { serverName } from '../client.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { SlotTable } from './slots.ts'

/** What one server answered, or why it did not. */
export type ServerAnswer<Result> = {
  readonly name: string
  /** Number of slots that it owns; undefined: it is not of a Cluster. */
  readonly slots: number | undefined
  readonly answer: Result | ServiceError
}

/**
 * Asks all masters of a Cluster, or the one server.
 *
 * Never rejects. Empty: no master is known yet.
 */
export async function askMasters<Result>(
  redis: RedisClient,
  ask: (server: Redis) => Promise<Result>,
): Promise<ServerAnswer<Result>[]> {
  if (!isCluster(redis)) {
    const answer = await ask(redis).catch(redisError)
    return [{ name: serverName(redis), slots: undefined, answer }]
  }
  const table = SlotTable.of(redis)
  return await Promise.all(
    [...table.owners.knownSlotsByMaster].map(async ([name, slots]) => ({
      name,
      slots: slots.length,
      answer: await askOne(table, name, ask).catch(redisError),
    })),
  )
}

async function askOne<Result>(table: SlotTable, name: string, ask: (server: Redis) => Promise<Result>) {
  return await ask(table.connectionTo(name))
}

/** Those that did not fail. @throws ServiceError the first error, if all have failed or there are none. */
export function answersOf<Result>(asked: readonly ServerAnswer<Result>[]): Result[] {
  const found: Result[] = []
  for (const { answer } of asked) if (!(answer instanceof ServiceError)) found.push(answer)
  if (found.length > 0) return found
  const failure = asked.find(({ answer }) => answer instanceof ServiceError)?.answer
  throw redisError(failure ?? new Error('CLUSTERDOWN no master is known'))
}

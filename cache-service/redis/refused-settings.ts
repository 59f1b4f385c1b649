import type { ServiceError } from '../../shared/errors.ts'
import type { RedisClient } from './redis-client.ts'

/** Clients whose login a server has accepted. */
const accepted = new WeakSet<RedisClient>()
const LOGIN_REFUSALS = new Set<ServiceError['code']>(['NOAUTH', 'WRONGPASS'])

/** Call it when a server has answered the first command of a connection. */
export function loginAccepted(redis: RedisClient): void {
  accepted.add(redis)
}

/**
 * Whether the process should end, because its settings have never worked. A login that was accepted once is refused because it was
 * changed at the server, even if the caller has done nothing with it yet: others may have worked with it since.
 *
 * @param hasWorked whether the caller has succeeded before.
 */
export function haveNeverWorked(redis: RedisClient, failure: ServiceError, hasWorked: boolean): boolean {
  if (failure.failureClass !== 'operator' || hasWorked) return false
  return !(LOGIN_REFUSALS.has(failure.code) && accepted.has(redis))
}

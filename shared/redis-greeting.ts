import { redisError, type ServiceError } from './errors.ts'

/** The part of an ioredis client that is needed here. */
type Greeted = { client(subcommand: 'SETNAME', name: string): Promise<unknown>; ping(): Promise<unknown> }

/** They concern every command of the connection. Any other reply, such as a refused name, shows that it works. */
const FAILURES = new Set<ServiceError['code']>(['CONNECTION', 'TIMEOUT', 'NOAUTH', 'DENIED', 'MAXCLIENTS'])

/**
 * Sends the first command of each connection. ioredis considers a connection ready when it is open, but a server may accept
 * it only to reply with an error and to close it. The command sets the name, for CLIENT LIST; if the connection is closed
 * because of it, as some proxies do, the next one begins with PING.
 *
 * @returns a function that resolves with the reason why the connection is of no use; undefined: it works.
 */
export function createGreeting(name: string): (redis: Greeted) => Promise<ServiceError | undefined> {
  let isNameSent = true
  return async (redis) => {
    try {
      if (isNameSent) await redis.client('SETNAME', name)
      else await redis.ping()
      return undefined
    } catch (error) {
      const failure = redisError(error)
      if (failure.code === 'CONNECTION') isNameSent = !isNameSent
      return FAILURES.has(failure.code) ? failure : undefined
    }
  }
}

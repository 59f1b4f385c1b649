import type { FastifyInstance } from 'fastify'
import { messageOf } from '../../shared/errors.ts'
import { OperatorError } from '../lifecycle/service.ts'

/** Within which the complete request must arrive. */
export const REQUEST_TIMEOUT_MS = 15_000

/**
 * Connections that wait to be accepted; the kernel may allow fewer. After a restart all clients of event streams reconnect at
 * once, and a connection for which there is no room is reset after half a minute.
 */
const BACKLOG = 4_096

/**
 * Resolves with the server's URL.
 *
 * @param settings the variables that name host and port, for the error.
 * @throws OperatorError if the port is in use or not permitted, or the address is not of this machine: waiting would
 * not help.
 */
export async function listen(
  server: Pick<FastifyInstance, 'listen'>,
  settings: string,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    return await server.listen({ host, port, backlog: BACKLOG })
  } catch (error) {
    throw new OperatorError(`cannot listen on ${settings} ${host}:${port}: ${messageOf(error)}`)
  }
}

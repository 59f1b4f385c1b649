import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/** Requests of one connection that wait for an earlier one; further ones are rejected. More than any honest client sends at once. */
const MAX_WAITING = 1_000

/**
 * Begins a request only when the earlier ones of its connection have been answered and the client has taken the
 * responses. Responses must be sent in the order of the requests anyway; if all pipelined requests were in progress at
 * once, a single connection could occupy every slot, and its finished responses would fill the memory while they wait
 * for the first one. Call it after the hooks that reject requests for what they are.
 */
export function serveInOrder(server: ApiServer): void {
  /** The connections with a request in progress, and how to begin those that wait. */
  const waitingBySocket = new WeakMap<Socket, (() => void)[]>()

  server.addHook('onRequest', (request, reply, next) => {
    const { socket } = request.raw
    const begin = () => {
      reply.raw.once('close', answered)
      next()
    }
    const answered = () => {
      const following = waitingBySocket.get(socket)?.shift()
      if (following === undefined || socket.destroyed) waitingBySocket.delete(socket)
      else following()
    }
    const waiting = waitingBySocket.get(socket)
    if (waiting === undefined) {
      waitingBySocket.set(socket, [])
      begin()
    } else if (waiting.length < MAX_WAITING) {
      waiting.push(begin)
    } else {
      throw new ProblemError('overloaded', { detail: 'Too many requests wait on this connection.' })
    }
  })
}

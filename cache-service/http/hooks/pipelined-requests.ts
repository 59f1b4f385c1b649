import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/** Requests of one connection that wait for an earlier one; further ones are rejected. More than any honest client sends at once. */
const MAX_WAITING = 1_000

type Turn = { readonly response: ServerResponse; begin(): void }

/** The pipelined requests of one connection, one of which is in progress. */
export class Turns {
  #current: ServerResponse | undefined
  readonly #waiting: Turn[] = []

  /** Begins at once, or when the requests that wait already have been answered. @throws ProblemError if too many wait. */
  take(response: ServerResponse, begin: () => void): void {
    if (this.#current === undefined) {
      this.#current = response
      begin()
    } else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push({ response, begin })
    } else {
      throw new ProblemError('overloaded', { detail: 'Too many requests wait on this connection.' })
    }
  }

  /** The response has been sent: the next request may begin. Other responses are those of requests that were rejected. */
  end(response: ServerResponse): void {
    if (response !== this.#current) return
    const next = this.#waiting.shift()
    this.#current = next?.response
    next?.begin()
  }
}

/**
 * Begins a request only when the earlier ones of its connection have been answered and the client has taken the
 * responses. Responses must be sent in the order of the requests anyway; if all pipelined requests were in progress at
 * once, a single connection could occupy every slot, and its finished responses would fill the memory while they wait
 * for the first one. Call it after the hooks that reject requests for what they are.
 */
export function serveInOrder(server: ApiServer, turnsOf: (socket: Socket) => Turns | undefined): void {
  server.addHook('onRequest', (request, reply, next) => {
    const turns = turnsOf(request.raw.socket)
    // Without a connection there is nothing to wait for: it has just been closed.
    if (turns === undefined) next()
    else turns.take(reply.raw, next)
  })
}

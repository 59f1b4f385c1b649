import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'
import type { ConnectionCloseReason } from '../../telemetry/api-metrics.ts'
import { HeldBytes } from './held-bytes.ts'
import { Turns } from './pipelined-requests.ts'
import { hasBody } from './request-bodies.ts'

/** Of request bodies that have not arrived completely. */
const MAX_INCOMPLETE_BYTES = 32 * 1024 * 1024
/** Of responses that their clients have not read. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024
/** After which a client that reads nothing of its response is disconnected; at most twice as long. */
export const UNREAD_TIMEOUT_MS = 20_000

declare module 'fastify' {
  interface FastifyInstance {
    /** Closes the connection of a client that does not read its response. */
    closeStalled(socket: Socket): void
  }
}

/** One object for the life of a connection: to add and remove one with each request cost a fifth of a lookup. */
type Connection = {
  readonly turns: Turns
  unanswered: number
  /** The response to its latest request; undefined: nothing is unanswered. */
  latest: ServerResponse | undefined
}

/**
 * Bounds what connections cost, however slowly their clients send or read, and without taking requests from the
 * others: when a bound is reached, the connection that has waited for longest is closed, and the new one is served. One
 * without a request is closed first, then one whose request is incomplete, then one whose response is not read; never
 * one whose request is in progress.
 *
 * What bounds the time: the complete request must arrive within listen.ts's REQUEST_TIMEOUT_MS, and a response must
 * be read without a pause of UNREAD_TIMEOUT_MS.
 */
export class Connections {
  readonly #maximum: number
  readonly #closed: (reason: ConnectionCloseReason) => void
  readonly #open = new Map<Socket, Connection>()
  /** Those without a complete request, the one that has waited for longest first. */
  readonly #waiting = new Set<Socket>()
  readonly #incomplete: HeldBytes<Socket>
  readonly #unread: HeldBytes<Socket>

  constructor(maximum: number, closed: (reason: ConnectionCloseReason) => void) {
    this.#maximum = maximum
    this.#closed = closed
    this.#incomplete = new HeldBytes(MAX_INCOMPLETE_BYTES, (socket) =>
      this.#close(socket, 'incomplete_bodies'),
    )
    this.#unread = new HeldBytes(MAX_UNREAD_BYTES, (socket) => this.#close(socket, 'unread_responses'))
  }

  /**
   * For a connection that owes a response to an earlier request: anything else that is sent would be taken for it.
   * Returns whether it does; it is then closed after the response.
   */
  closeAfterAnswer(socket: Socket): boolean {
    const connection = this.#open.get(socket)
    if (connection?.latest === undefined) return false
    const { latest, unanswered } = connection
    if (latest.req.complete && !latest.headersSent) latest.shouldKeepAlive = false
    else if (unanswered > 1 || latest.headersSent) socket.destroy()
    else return false
    return true
  }

  watch(server: ApiServer): void {
    const answered = listener((response) => this.#answered(response))
    server.server.on('connection', (socket) => this.#opened(socket))
    server.server.on('request', (request, response) => {
      this.#begun(request, response)
      response.on('close', answered)
    })
    server.server.on('timeout', (socket: Socket) => {
      if (!this.#owesResponse(socket)) socket.destroy()
      else if (socket.writableLength > 0) this.#close(socket, 'stalled')
      // The response is not ready yet.
      else socket.setTimeout(UNREAD_TIMEOUT_MS)
    })
    server.decorate('closeStalled', (socket: Socket) => this.#close(socket, 'stalled'))
    server.addHook('preParsing', (request, _reply, payload, next) => {
      const { socket } = request.raw
      if (hasBody(request.raw))
        payload.on('data', (part: Buffer) => this.#incomplete.add(socket, part.length))
      next(null, payload)
    })
    server.addHook('onSend', (request, _reply, payload, next) => {
      const { socket } = request.raw
      // Otherwise its caller has disconnected.
      if (this.#owesResponse(socket)) this.#unread.add(socket, lengthOf(payload))
      next(null, payload)
    })
    // Node closes those that are idle after a request but waits indefinitely for one that a browser, a connection pool
    // or a load balancer has opened in advance.
    server.addHook('preClose', async () => {
      for (const socket of this.#waiting) socket.destroy()
    })
  }

  /** Whose turn it is among the pipelined requests of the connection; undefined: it has been closed. */
  turnsOf(socket: Socket): Turns | undefined {
    return this.#open.get(socket)?.turns
  }

  #owesResponse(socket: Socket): boolean {
    return this.#open.get(socket)?.latest !== undefined
  }

  #opened(socket: Socket): void {
    this.#open.set(socket, { turns: new Turns(), unanswered: 0, latest: undefined })
    socket.once('close', () => this.#forget(socket))
    if (this.#open.size > this.#maximum) {
      const [longest] = this.#waiting
      this.#close(longest ?? this.#unread.oldest ?? socket, 'too_many')
    }
    if (!socket.destroyed) this.#waiting.add(socket)
  }

  #begun(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const connection = this.#open.get(socket)
    if (connection === undefined) return
    connection.unanswered++
    connection.latest = response
    if (hasBody(request)) {
      request.once('close', () => {
        this.#incomplete.remove(socket)
        if (connection.unanswered > 0) this.#waiting.delete(socket)
      })
    } else {
      this.#waiting.delete(socket)
    }
  }

  #answered(response: ServerResponse): void {
    const { socket } = response.req
    const connection = this.#open.get(socket)
    if (connection === undefined) return
    connection.unanswered--
    connection.turns.end(response)
    if (connection.unanswered > 0) return
    connection.latest = undefined
    this.#unread.remove(socket)
    this.#waiting.add(socket)
  }

  #close(socket: Socket, reason: ConnectionCloseReason): void {
    // At once, so that one that is being closed is not chosen again.
    this.#forget(socket)
    this.#closed(reason)
    socket.destroy()
  }

  #forget(socket: Socket): void {
    this.#open.delete(socket)
    this.#waiting.delete(socket)
    this.#incomplete.remove(socket)
    this.#unread.remove(socket)
  }
}

/** One function for all responses; the emitter passes as `this` which one it is. */
function listener(closed: (response: ServerResponse) => void) {
  return function (this: ServerResponse) {
    closed(this)
  }
}

/** Of a string in characters: near enough, and known without a pass over it. */
function lengthOf(payload: unknown): number {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : 0
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'
import type { ConnectionCloseReason } from '../../telemetry/api-metrics.ts'
import { HeldBytes } from './held-bytes.ts'
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

type Unanswered = { count: number; readonly latest: [IncomingMessage, ServerResponse] }

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
  readonly #open = new Set<Socket>()
  /** Those without a complete request, the one that has waited for longest first. */
  readonly #waiting = new Set<Socket>()
  readonly #unanswered = new Map<Socket, Unanswered>()
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
    const unanswered = this.#unanswered.get(socket)
    if (unanswered === undefined) return false
    const [request, response] = unanswered.latest
    if (request.complete && !response.headersSent) response.shouldKeepAlive = false
    else if (unanswered.count > 1 || response.headersSent) socket.destroy()
    else return false
    return true
  }

  watch(server: ApiServer): void {
    server.server.on('connection', (socket) => this.#opened(socket))
    server.server.on('request', (request, response) => this.#begun(request, response))
    server.server.on('timeout', (socket: Socket) => {
      if (!this.#unanswered.has(socket)) socket.destroy()
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
      if (this.#unanswered.has(socket)) this.#unread.add(socket, lengthOf(payload))
      next(null, payload)
    })
    // Node closes those that are idle after a request but waits indefinitely for one that a browser, a connection pool
    // or a load balancer has opened in advance.
    server.addHook('preClose', async () => {
      for (const socket of this.#waiting) socket.destroy()
    })
  }

  #opened(socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#forget(socket))
    if (this.#open.size > this.#maximum) {
      const [longest] = this.#waiting
      this.#close(longest ?? this.#unread.oldest ?? socket, 'too_many')
    }
    if (!socket.destroyed) this.#waiting.add(socket)
  }

  #begun(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const unanswered = this.#unanswered.get(socket)
    this.#unanswered.set(socket, { count: (unanswered?.count ?? 0) + 1, latest: [request, response] })
    if (hasBody(request)) {
      request.once('close', () => {
        this.#incomplete.remove(socket)
        if (this.#unanswered.has(socket)) this.#waiting.delete(socket)
      })
    } else {
      this.#waiting.delete(socket)
    }
    response.once('close', () => this.#answered(socket))
  }

  #answered(socket: Socket): void {
    const unanswered = this.#unanswered.get(socket)
    if (unanswered === undefined) return
    unanswered.count--
    if (unanswered.count > 0) return
    this.#unanswered.delete(socket)
    this.#unread.remove(socket)
    if (this.#open.has(socket)) this.#waiting.add(socket)
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
    this.#unanswered.delete(socket)
    this.#incomplete.remove(socket)
    this.#unread.remove(socket)
  }
}

/** Of a string in characters: near enough, and known without a pass over it. */
function lengthOf(payload: unknown): number {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : 0
}

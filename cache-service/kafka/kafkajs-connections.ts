// Corrections of how KafkaJS connects: see kafkajs.ts.

import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type KafkaJs from 'kafkajs'
import { messageOf } from '../../shared/errors.ts'
import { brokerAddress } from './broker-address.ts'
import { MonotonicDate, type Internal } from './kafkajs-copy.ts'

type PoolBuilder = { build(destination?: { host?: string; port?: number }): Promise<unknown> }
type CreatePoolBuilder = (options: { readonly brokers: readonly string[] }) => PoolBuilder

/** Bootstrap addresses → the position of the one that no client of this process has found to fail. */
const firstToTry = new Map<string, number>()

/**
 * KafkaJS reads everything after the first colon of a bootstrap address as the port, and lets every client wait for the same
 * failing address again. It asks for another address only when the previous one has failed.
 */
export function withBootstrapAddresses(original: unknown): CreatePoolBuilder {
  const create = original as CreatePoolBuilder
  return (options) => {
    const { brokers } = options
    const builder = create(options)
    let failed: number | undefined
    const nextAddress = () => {
      const first = firstToTry.get(brokers.join()) ?? 0
      // Another client may have moved on meanwhile.
      const position = first === failed ? (first + 1) % brokers.length : first
      firstToTry.set(brokers.join(), position)
      failed = position
      return brokerAddress(brokers[position] ?? '')
    }
    return {
      build: (destination = {}) =>
        builder.build(destination.host === undefined ? nextAddress() : destination),
    }
  }
}

type BrokerClass = new (...args: unknown[]) => {
  readonly connectionPool: { readonly host: string; readonly port: number }
  /** By the number of the request. */
  readonly versions: Readonly<Record<number, unknown>> | null
  connect(): Promise<void>
}

const FIND_COORDINATOR = 10

/**
 * KafkaJS tries the next bootstrap broker only after an error of exactly this name. It would retry an address that never
 * answers, closes every connection, or is not a Kafka broker. A controller answers, but serves no clients. Only a refused
 * login would be refused elsewhere as well.
 */
export function withFailuresAsConnectionErrors(original: unknown, internal: Internal): BrokerClass {
  const Broker = original as BrokerClass
  const errors = internal('src/errors.js') as typeof KafkaJs
  return class extends Broker {
    override async connect(): Promise<void> {
      try {
        await super.connect()
        if (this.versions?.[FIND_COORDINATOR] === undefined)
          throw new Error('it is not a broker, but perhaps a controller')
      } catch (error) {
        const { KafkaJSConnectionError, KafkaJSProtocolError, KafkaJSSASLAuthenticationError } = errors
        if (error instanceof KafkaJSProtocolError || error instanceof KafkaJSSASLAuthenticationError)
          throw error
        if (error instanceof Error && error.name === 'KafkaJSConnectionError') throw error
        const { host, port } = this.connectionPool
        throw new KafkaJSConnectionError(`${host}:${port}: ${messageOf(error)}`)
      }
    }
  }
}

type GroupRequest = { readonly groupId: string; readonly coordinatorType: number }
type FoundCoordinator = { readonly coordinator: unknown }
type CoordinatorFinder = { findGroupCoordinator(request: GroupRequest): Promise<FoundCoordinator> }
type ClusterClass = new (...args: unknown[]) => {
  readonly brokerPool: {
    withBroker<Result>(
      use: (one: { readonly broker: CoordinatorFinder }) => Promise<Result>,
    ): Promise<Result | null>
  }
  findGroupCoordinatorMetadata(request: GroupRequest): Promise<FoundCoordinator>
}

/**
 * KafkaJS asks one broker after the other for the coordinator of a group, and drops their replies: without the permission
 * for the group, it says only that there is no coordinator, as in an outage. Here they are asked once more, and the last reply is the error.
 */
export function withReasonForNoCoordinator(original: unknown): ClusterClass {
  const Cluster = original as ClusterClass
  return class extends Cluster {
    override async findGroupCoordinatorMetadata(request: GroupRequest): Promise<FoundCoordinator> {
      try {
        return await super.findGroupCoordinatorMetadata(request)
      } catch (error) {
        let reply = error
        const found = await this.brokerPool.withBroker(async ({ broker }) => {
          return await broker.findGroupCoordinator(request).catch((refusal: unknown) => {
            reply = refusal
            throw refusal
          })
        })
        if (found !== null) return found
        throw reply
      }
    }
  }
}

type PushedRequest = { readonly entry: { readonly apiKey: number }; readonly requestTimeout?: number | null }
type SocketRequest = { requestTimeout: number; readonly sentAt: number | null; timeoutHandler: () => void }
type RequestQueueClass = new (...args: unknown[]) => EventEmitter & {
  createSocketRequest(pushed: PushedRequest): SocketRequest
}

const API_VERSIONS = 18
const TIMED_OUT = 'timedOut'

/** KafkaJS asks for the first answer within the connection timeout, but waits for the whole request timeout. */
export function withTimeoutOfFirstRequest(original: unknown): RequestQueueClass {
  const RequestQueue = original as RequestQueueClass
  return class extends RequestQueue {
    override createSocketRequest(pushed: PushedRequest): SocketRequest {
      const request = super.createSocketRequest(pushed)
      if (pushed.entry.apiKey === API_VERSIONS)
        request.requestTimeout = pushed.requestTimeout ?? request.requestTimeout
      const { timeoutHandler } = request
      request.timeoutHandler = () => {
        timeoutHandler()
        this.emit(TIMED_OUT, request.sentAt)
      }
      return request
    }
  }
}

type ConnectionClass = new (...args: unknown[]) => {
  readonly broker: string
  readonly requestQueue: EventEmitter
  readonly socket?: Socket
  /** The part of a response that has arrived. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  isConnected(): boolean
  connect(): Promise<boolean>
  disconnect(): Promise<boolean>
  processData(bytes: Buffer): void
}

const SIZE_BYTES = 4

/**
 * KafkaJS uses a connection again after it was lost, with what had arrived of the last response: the first response on the new
 * socket is then read at the wrong place, and the error ends the process. The former socket, if it was only half closed, still
 * delivers to it as well, and requests that reconnect at the same time open a socket each. Here there is one socket at a time, which
 * begins with nothing, and bytes that are not a response end only that socket.
 */
export function withOneStreamPerSocket(original: unknown): ConnectionClass {
  const Connection = original as ConnectionClass
  return class extends Connection {
    #connecting: Promise<boolean> | undefined

    override async connect(): Promise<boolean> {
      if (this.isConnected()) return true
      this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined))
      return await this.#connecting
    }

    override processData(bytes: Buffer): void {
      try {
        super.processData(bytes)
      } catch (error) {
        this.socket?.destroy(new Error(`not a response of Kafka: ${messageOf(error)}`))
      }
    }

    async #connect(): Promise<boolean> {
      this.socket?.destroy()
      this.chunks = []
      this.bytesBuffered = 0
      this.bytesNeeded = SIZE_BYTES
      return await super.connect()
    }
  }
}

type OpenConnection = { readonly broker: string; heardAtMs: number }

/** Of all clients of this process. */
const openConnections = new Map<Socket, OpenConnection>()

const LONGEST_GOODBYE_MS = 1_000

/**
 * KafkaJS sends further requests on a connection on which one has timed out. If the network dropped the connection, each of
 * them waits for its timeout as well, although a new connection would work. As in Kafka's own client, a timeout ends the
 * connection. It also ends the other connections to that broker on which nothing has arrived since: whatever silenced the
 * one has probably silenced them, and the clients of a worker wait for one another, each for a whole timeout.
 *
 * KafkaJS disconnects only when all requests have been answered or have timed out. Here it waits for a moment at most,
 * because a client that disconnects does not need the answers.
 */
export function withConnectionsEndedByTimeouts(original: unknown): ConnectionClass {
  const Connection = original as ConnectionClass
  return class extends Connection {
    constructor(...args: unknown[]) {
      super(...args)
      this.requestQueue.on(TIMED_OUT, (sentAtMs: number) => this.#endSilent(sentAtMs))
    }

    override async connect(): Promise<boolean> {
      const result = await super.connect()
      const { broker, socket } = this
      if (socket !== undefined && !socket.destroyed && !openConnections.has(socket)) {
        const open: OpenConnection = { broker, heardAtMs: MonotonicDate.now() }
        openConnections.set(socket, open)
        socket.on('data', () => (open.heardAtMs = MonotonicDate.now()))
        socket.once('close', () => openConnections.delete(socket))
      }
      return result
    }

    override async disconnect(): Promise<boolean> {
      const overdue = setTimeout(
        () => this.socket?.destroy(new Error('a request was not answered in time to disconnect')),
        LONGEST_GOODBYE_MS,
      )
      try {
        return await super.disconnect()
      } finally {
        clearTimeout(overdue)
      }
    }

    #endSilent(sinceMs: number): void {
      for (const [socket, { broker, heardAtMs }] of openConnections) {
        if (socket === this.socket || (broker === this.broker && heardAtMs <= sinceMs))
          socket.destroy(new Error('a request timed out'))
      }
    }
  }
}

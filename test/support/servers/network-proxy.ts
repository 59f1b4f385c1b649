import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type TcpAddress = { readonly host: string; readonly port: number }

type LinkObserver = { cut(): void; corrupt(bytes: Buffer): void }

/** What the network between a client and a server does with their bytes. */
export type NetworkState =
  | 'open'
  /** Nothing arrives, in either direction, and no connection is closed: as if packets were dropped. */
  | 'silent'
  /** As `silent` for the connections that exist now; those that are opened later work. */
  | 'half_open'
  /** Every connection is reset, and those that are opened later, too. */
  | 'reset'
  /** Each byte arrives so much later. */
  | { readonly delayMs: number }
  | { readonly bytesPerSecond: number }

/** How many bytes of one connection arrive before it is closed; undefined: all. */
export type PassedBytes = { readonly toServer?: number; readonly toClient?: number }

/** A TCP proxy that passes bytes on unread: a network between a client and a server that a test can disturb. */
export type NetworkProxy = TcpAddress & {
  /** New connections go to this server. */
  target: TcpAddress
  /** Decides about each new connection how many of its bytes arrive. */
  limit: () => PassedBytes
  /** May change bytes on their way to a client. */
  corrupt: (bytes: Buffer) => void
  /** The connections that were closed because of their limit. */
  readonly cuts: number
  /** Changes the network from now on. What was held back while it was silent is delivered when it opens. */
  become(state: NetworkState): void
  /** Resets all connections; those that are opened later work. */
  breakConnections(): void
  stop(): Promise<void>
}

/** @param port 0: a free one. */
export async function startNetworkProxy(target: TcpAddress, port = 0): Promise<NetworkProxy> {
  const links = new Set<Link>()
  let state: NetworkState = 'open'
  let cuts = 0
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (state === 'reset') return void client.resetAndDestroy()
    const upstream = connect({ ...proxy.target, allowHalfOpen: true })
    const link = new Link(client, upstream, proxy.limit(), {
      cut: () => cuts++,
      corrupt: (bytes) => proxy.corrupt(bytes),
    })
    links.add(link)
    link.become(state === 'half_open' ? 'open' : state)
    link.closed.then(() => links.delete(link)).catch(() => undefined)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const proxy: NetworkProxy = {
    host: '127.0.0.1',
    port: address.port,
    target,
    limit: () => ({}),
    corrupt: () => undefined,
    get cuts() {
      return cuts
    },
    become(next) {
      state = next
      for (const link of links) link.become(next === 'half_open' ? 'silent' : next)
    },
    breakConnections() {
      for (const link of links) link.become('reset')
    },
    async stop() {
      server.close()
      for (const link of links) link.destroy()
      await once(server, 'close')
    },
  }
  return proxy
}

/** A connection of a client, and the one to the server that stands for it. */
class Link {
  readonly closed: Promise<unknown>
  readonly #sockets: readonly [Socket, Socket]
  readonly #observer: LinkObserver
  #state: NetworkState = 'open'
  #changed = Promise.withResolvers<void>()

  constructor(client: Socket, server: Socket, { toClient, toServer }: PassedBytes, observer: LinkObserver) {
    this.#sockets = [client, server]
    this.#observer = observer
    for (const socket of this.#sockets) socket.on('error', () => undefined)
    this.closed = Promise.all([
      this.#forward(client, server, toServer),
      this.#forward(server, client, toClient),
    ]).then(() => this.destroy())
  }

  become(state: NetworkState): void {
    this.#state = state
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
    if (state === 'reset') for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#changed.resolve()
  }

  async #forward(from: Socket, to: Socket, limit = Infinity): Promise<void> {
    let left = limit
    let last: Promise<void> = Promise.resolve()
    try {
      for await (const bytes of from) {
        const passed: Buffer = bytes.subarray(0, left)
        left -= passed.length
        if (from === this.#sockets[1]) this.#observer.corrupt(passed)
        const isCut = left === 0
        // Bytes that are delayed wait at the same time, but overtake none.
        last = Promise.all([this.#delay(passed), last]).then(() => this.#deliver(passed, to, isCut))
        if (isCut || !this.#isDelayed) await last
        if (isCut || to.destroyed) return
      }
      await last
      await this.#heard()
      to.end()
    } catch {
      await last
      await this.#heard()
      to.destroy()
    }
  }

  get #isDelayed(): boolean {
    return typeof this.#state === 'object' && 'delayMs' in this.#state
  }

  async #deliver(bytes: Buffer, to: Socket, isCut: boolean): Promise<void> {
    if (to.destroyed) return
    if (isCut) {
      this.#observer.cut()
      // The bytes before the cut must arrive, so the connection ends after them.
      await new Promise((resolve) => to.write(bytes, resolve))
      this.destroy()
    } else if (!to.write(bytes)) {
      await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined)
    }
  }

  async #delay(bytes: Buffer): Promise<void> {
    await this.#heard()
    if (typeof this.#state === 'string') return
    const ms =
      'delayMs' in this.#state ? this.#state.delayMs : (bytes.length / this.#state.bytesPerSecond) * 1_000
    await sleep(ms)
  }

  /** Resolves when the network is not silent any more, or both sides have given up. */
  async #heard(): Promise<void> {
    while (this.#state === 'silent' && !this.#sockets.every((socket) => socket.destroyed))
      await this.#changed.promise
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What the network between a client and a server does with their bytes. */
export type NetworkState =
  | 'open'
  /** Nothing arrives, in either direction, and no connection is closed: as if packets were dropped. */
  | 'silent'
  /** As `silent` for the connections that exist now; those that are opened later work. */
  | 'half_open'
  /** Every connection is reset, and those that are opened later, too. */
  | 'reset'
  | { readonly delayMs: number }
  | { readonly bytesPerSecond: number }

export type NetworkProxy = {
  readonly port: number
  /** Changes the network from now on. What was held back while it was silent is delivered when it opens. */
  become(state: NetworkState): void
  close(): Promise<void>
}

/** A TCP proxy that knows nothing of what it forwards. `port` 0: a free one. */
export async function startNetworkProxy(port: number, serverPort: number): Promise<NetworkProxy> {
  const links = new Set<Link>()
  let state: NetworkState = 'open'
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (state === 'reset') return void client.resetAndDestroy()
    const link = new Link(client, connect({ port: serverPort, host: '127.0.0.1', allowHalfOpen: true }))
    links.add(link)
    link.become(state === 'half_open' ? 'open' : state)
    link.closed.then(() => links.delete(link)).catch(() => undefined)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    become(next) {
      state = next
      for (const link of links) link.become(next === 'half_open' ? 'silent' : next)
    },
    async close() {
      server.close()
      for (const link of links) link.destroy()
      await once(server, 'close')
    },
  }
}

/** A connection of a client, and the one to the server that stands for it. */
class Link {
  readonly closed: Promise<unknown>
  readonly #sockets: readonly [Socket, Socket]
  #state: NetworkState = 'open'
  #changed = Promise.withResolvers<void>()

  constructor(client: Socket, server: Socket) {
    this.#sockets = [client, server]
    for (const socket of this.#sockets) socket.on('error', () => undefined)
    this.closed = Promise.allSettled([this.#forward(client, server), this.#forward(server, client)])
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

  async #forward(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const bytes of from) {
        await this.#passes(bytes)
        if (to.destroyed) return
        if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')])
      }
      to.end()
    } finally {
      to.destroy()
    }
  }

  async #passes(bytes: Buffer): Promise<void> {
    while (this.#state === 'silent') {
      await this.#changed.promise
      if (this.#sockets.every((socket) => socket.destroyed)) return
    }
    if (typeof this.#state === 'string') return
    const ms =
      'delayMs' in this.#state ? this.#state.delayMs : (bytes.length / this.#state.bytesPerSecond) * 1_000
    await sleep(ms)
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type TcpAddress = { readonly host: string; readonly port: number }

/** A proxy that passes bytes on unread: a network between a client and a server that a test can cut. */
export type TcpProxy = TcpAddress & {
  /** New connections go to this server. */
  target: TcpAddress
  /** Closes all connections, as a network does that resets them. */
  breakConnections(): void
  /** Closes all connections, and each new one at once, until `mend`. */
  cut(): void
  mend(): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: TcpAddress): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((client) => {
    client.on('error', () => undefined)
    if (isCut) return void client.destroy()
    const upstream = connect(proxy.target)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const proxy: TcpProxy = {
    host: '127.0.0.1',
    port: address.port,
    target,
    breakConnections() {
      for (const socket of sockets) socket.destroy()
    },
    cut() {
      isCut = true
      proxy.breakConnections()
    },
    mend: () => (isCut = false),
    async stop() {
      proxy.cut()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** How many bytes of one connection pass before it is reset; undefined: all. */
export type PassedBytes = { readonly toServer?: number; readonly toClient?: number }

/** A TCP proxy that resets each connection after a number of bytes, and whose address may lead to another server. */
export type CuttingProxy = {
  readonly port: number
  /** The port that new connections lead to. */
  targetPort: number
  /** Decides about each new connection; its number counts from 0. */
  limit: (connection: number) => PassedBytes
  /** The connections that were reset because of their limit. */
  readonly cuts: number
  stop(): Promise<void>
}

export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  let connections = 0
  let cuts = 0
  const server = createServer((client) => {
    const upstream = connect(proxy.targetPort, '127.0.0.1')
    const limits = proxy.limit(connections++)
    const close = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        close()
      })
    }
    const pass = (from: Socket, to: Socket, limit = Infinity) => {
      let passed = 0
      from.on('data', (bytes: Buffer) => {
        const allowed = Math.min(bytes.length, limit - passed)
        passed += allowed
        // The bytes before the cut must arrive, so the connection ends after them.
        if (passed < limit) return void to.write(bytes)
        from.pause()
        cuts++
        to.write(bytes.subarray(0, allowed), close)
      })
    }
    pass(client, upstream, limits.toServer)
    pass(upstream, client, limits.toClient)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const proxy: CuttingProxy = {
    port: address.port,
    targetPort,
    limit: () => ({}),
    get cuts() {
      return cuts
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

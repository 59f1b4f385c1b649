import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'

/**
 * When the server closes, closes the connections that have not sent a request yet. Node closes those that are idle
 * after a request but waits indefinitely for the others, such as one that a browser, a connection pool or a load
 * balancer has opened in advance.
 */
export function endUnusedConnections(server: ApiServer): void {
  const unused = new Set<Socket>()
  server.server.on('connection', (socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  server.server.on('request', ({ socket }) => unused.delete(socket))
  server.addHook('preClose', async () => {
    for (const socket of unused) socket.destroy()
  })
}

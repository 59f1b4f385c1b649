import type { Socket } from 'node:net'
import type { ApiServer } from '../api-server-types.ts'

/**
 * Ends connections that have asked for nothing when the server closes. Node ends those that are idle after a
 * request, and waits for the others for ever: for one that a browser, a client's pool or a load balancer has
 * opened in advance, too.
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

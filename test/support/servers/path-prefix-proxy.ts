import { once } from 'node:events'
import { createServer, request as sendRequest } from 'node:http'
import { pipeline } from 'node:stream/promises'

export type PathPrefixProxy = {
  /** Includes the prefix, without a slash at the end. */
  readonly url: string
  /** The requested paths that are not below the prefix. */
  readonly strayPaths: readonly string[]
  stop(): Promise<void>
}

/**
 * A reverse proxy that serves the target below a path prefix, which it removes, such as `/cache`; the prefix without a slash
 * is the root of the target as well.
 */
export async function startPathPrefixProxy(target: string, prefix: string): Promise<PathPrefixProxy> {
  const strayPaths: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const isBelow = path.startsWith(`${prefix}/`)
    if (!isBelow) strayPaths.push(path)
    if (!isBelow && path !== prefix) {
      response.writeHead(404).end()
      return
    }
    const { host } = new URL(target)
    const { method, headers } = request
    const passedOn = sendRequest(target + (path.slice(prefix.length) || '/'), {
      method,
      headers: { ...headers, host },
    })
    passedOn.on('error', () => response.destroy())
    passedOn.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      void pipeline(answer, response).catch(() => undefined)
    })
    void pipeline(request, passedOn).catch(() => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    url: `http://127.0.0.1:${address.port}${prefix}`,
    strayPaths,
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

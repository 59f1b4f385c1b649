import { once } from 'node:events'
import { createServer, request as sendRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

export type SeenRequest = {
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/**
 * What happens to a request: it passes, its response is lost, it hangs, its response stalls after the headers, or the proxy
 * returns the given response.
 */
export type Treatment =
  | 'pass'
  | 'lose-answer'
  | 'hang'
  | 'stall'
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }

/** A proxy between a client and an api that records requests and simulates network faults. */
export type ApiProxy = {
  readonly url: string
  readonly seen: readonly SeenRequest[]
  treat: (request: SeenRequest) => Treatment | Promise<Treatment>
  /** The URL that requests are forwarded to. */
  target: string
  /** Closes all connections. */
  breakConnections(): void
  stop(): Promise<void>
}

export async function startApiProxy(target: string): Promise<ApiProxy> {
  const seen: SeenRequest[] = []
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy())
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`
    const arrived: SeenRequest = { line, headers: request.headers, body: await text(request) }
    seen.push(arrived)
    const treatment = await proxy.treat(arrived)
    if (treatment === 'hang') return
    if (typeof treatment === 'object') {
      response.writeHead(treatment.status, treatment.headers ?? {}).end(treatment.body ?? '')
      return
    }
    const passedOn = sendRequest(new URL(request.url ?? '', proxy.target), {
      method: request.method,
      headers: { ...request.headers, host: new URL(proxy.target).host },
    })
    passedOn.on('error', () => response.destroy())
    response.on('close', () => passedOn.destroy())
    passedOn.end(arrived.body)
    passedOn.on('response', (answer) => {
      if (treatment === 'lose-answer') {
        answer.resume().on('end', () => response.destroy())
        return
      }
      answer.on('error', () => response.destroy())
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      if (treatment === 'stall') response.flushHeaders()
      else answer.pipe(response)
    })
  }

  server.listen({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const proxy: ApiProxy = {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    treat: () => 'pass',
    target,
    breakConnections: () => server.closeAllConnections(),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return proxy
}

import type { IncomingMessage } from 'node:http'
import { errorCodes } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/**
 * The path and query of a request, without `basePath`. A proxy may send the whole URL (RFC 9112, 3.2.2); its host then
 * counts instead of the Host header. `OPTIONS *` is about no path, and answered like an unknown one.
 */
export function targetOf(request: IncomingMessage, basePath: string): string {
  let { url: target = '/' } = request
  if (!target.startsWith('/')) {
    const [, host, path] = /^https?:\/\/(?:[^/?#@]*@)?([^/?#]*)(.*)$/is.exec(target) ?? []
    if (host === undefined || path === undefined) return `/${target}`
    request.headers.host = host
    target = path.startsWith('/') ? path : `/${path}`
  }
  return basePath !== '' && target.startsWith(`${basePath}/`) ? target.slice(basePath.length) : target
}

/** Rejects requests whose host or query cannot be read; the framework does so for paths. */
export function checkRequestTargets(server: ApiServer): void {
  server.addHook('onRequest', (request, _reply, next) => {
    const { headers, httpVersion, url = '' } = request.raw
    if (headers.host === undefined && httpVersion !== '1.0') {
      throw new ProblemError('bad_request', { detail: 'Send a Host header.' })
    }
    // Node uses the first one; a proxy before us may have decided by another (RFC 9112, 3.2).
    if (countHosts(request.raw) > 1) {
      throw new ProblemError('bad_request', { detail: 'Send only one Host header.' })
    }
    const query = url.indexOf('?')
    if (query !== -1 && url.includes('%', query) && !isDecodable(url.slice(query))) {
      throw new errorCodes.FST_ERR_BAD_URL(url)
    }
    next()
  })
}

function countHosts({ rawHeaders }: IncomingMessage): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') count++
  }
  return count
}

/** The framework would take `%ff` in a query as it is written. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

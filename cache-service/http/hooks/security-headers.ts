import type { ApiServer } from '../api-server-types.ts'

/**
 * No shared caching, no content sniffing, and our pages run only scripts that we serve. Set by hand because they are
 * few: half of what @fastify/helmet sends is for pages with cookies and TLS.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache, private',
}

export function addSecurityHeaders(server: ApiServer): void {
  server.addHook('onRequest', (_request, reply, done) => {
    // Not one by one on the raw response: Node.js would then merge and check all headers again.
    reply.headers(HEADERS)
    done()
  })
}

/** For our pages: nothing inline, and nothing from other origins. @param images where images may come from. */
export function pageSecurityPolicy(images: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src ${images}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

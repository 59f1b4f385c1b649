import type { ApiServer } from '../api-server-types.ts'

/**
 * Nothing is cached where others share it, nothing is guessed, and a page of ours runs only scripts that we
 * serve. By hand, as they are few: half of what @fastify/helmet sends is for pages with cookies and TLS.
 */
const HEADERS: readonly (readonly [name: string, value: string])[] = [
  [
    'content-security-policy',
    "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['cache-control', 'no-cache, private'],
]

export function addSecurityHeaders(server: ApiServer): void {
  server.addHook('onRequest', (_request, reply, done) => {
    for (const [name, value] of HEADERS) reply.raw.setHeader(name, value)
    done()
  })
}

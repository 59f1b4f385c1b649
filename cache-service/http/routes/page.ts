import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { ApiServer } from '../api-server-types.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Nothing from elsewhere, and nothing inline: what a device calls itself can't become code. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The libraries of the page, as their packages bring them; there is no build. */
const LIBRARIES = [
  ...['lit-html.js', 'directive.js', 'directive-helpers.js', 'directives/repeat.js'].map((file) => ({
    path: `/page/vendor/lit-html/${file}`,
    // Node is given a file of another folder, for servers.
    source: new URL(`../${file}`, import.meta.resolve('lit-html')),
  })),
  ...['uPlot.esm.js', 'uPlot.min.css'].map((file) => ({
    path: `/page/vendor/uplot/${file}`,
    source: new URL(file, import.meta.resolve('uplot')),
  })),
]

/**
 * `GET /`, the page for people, and its files under `/page/`. They are few and small: read once, at the start.
 * Browsers keep them, and ask each time whether they are still the same (ETag, 304), so that a new release is
 * seen at once. Public: the page itself asks for the token that its data needs.
 */
export function registerPageRoutes(server: ApiServer): void {
  const folder = new URL('../../page/', import.meta.url)
  const own = readdirSync(folder)
    .filter((file) => extname(file) in CONTENT_TYPES)
    .map((file) => ({
      path: file === 'index.html' ? '/' : `/page/${file}`,
      source: new URL(file, folder),
    }))
  for (const { path, source } of [...own, ...LIBRARIES]) serveFile(server, path, source)
}

function serveFile(server: ApiServer, path: string, source: URL): void {
  const content = readFileSync(source)
  const etag = `"${createHash('sha256').update(content).digest('base64url')}"`
  const type = CONTENT_TYPES[extname(source.pathname)] ?? 'application/octet-stream'
  server.get(path, { config: { scope: 'public' }, schema: { hide: true } }, async (request, reply) => {
    reply.headers({
      etag,
      'cache-control': 'no-cache',
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    if (request.headers['if-none-match'] === etag) return await reply.code(304).send()
    return await reply.type(type).send(content)
  })
}

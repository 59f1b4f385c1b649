import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { ApiServer } from '../api-server-types.ts'
import { pageSecurityPolicy } from '../hooks/security-headers.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** So that the name of a device can't run as code. */
const CONTENT_SECURITY_POLICY = pageSecurityPolicy("'self'")

/** The page's libraries, served as their packages ship them: there is no build step. */
const LIBRARIES = [
  ...['lit-html.js', 'directive.js', 'directive-helpers.js', 'directives/repeat.js'].map((file) => ({
    path: `/page/vendor/lit-html/${file}`,
    // Node resolves the package to its server build, which lies in a subfolder.
    source: new URL(`../${file}`, import.meta.resolve('lit-html')),
  })),
  ...['uPlot.esm.js', 'uPlot.min.css'].map((file) => ({
    path: `/page/vendor/uplot/${file}`,
    source: new URL(file, import.meta.resolve('uplot')),
  })),
]

/**
 * `GET /`, the web page, and its files under `/page/`. They are few and small, so they are read once at start-up.
 * Browsers cache them and revalidate every time (ETag, 304), so that a new release shows immediately. Public: the
 * page itself asks for the token that its data needs.
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

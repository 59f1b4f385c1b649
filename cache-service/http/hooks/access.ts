import type { FastifyRequest } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'
import { findToken, type ApiToken } from '../api-tokens.ts'
import { ProblemError } from '../problem.ts'

/** Who may call: whoever shows a token; or, while nobody is asked, whoever calls us by a name of ours. */
export type Access =
  | { readonly kind: 'tokens'; tokens(): readonly ApiToken[]; now(): number }
  | { readonly kind: 'hosts'; readonly allowed: readonly string[] }

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the token that was shown; empty if none was asked for. */
    caller: string
  }
}

export function guardAccess(server: ApiServer, access: Access): void {
  server.decorateRequest('caller', '')
  if (access.kind === 'tokens') {
    server.addHook('onRequest', async (request) => {
      request.caller = requireToken(request, access.tokens(), access.now())
    })
  } else {
    const allowed = new Set(access.allowed.map((name) => name.toLowerCase()))
    server.addHook('onRequest', async (request) => requireKnownHost(request, allowed))
  }
}

function requireToken(request: FastifyRequest, tokens: readonly ApiToken[], nowMs: number): string {
  const { scope } = request.routeOptions.config
  // A path that is no route has nothing to hide.
  if (scope === 'public' || request.is404) return ''
  const presented = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  const token = presented === undefined ? undefined : findToken(tokens, presented, nowMs)
  if (token === undefined) {
    const detail =
      presented === undefined ? 'Send Authorization: Bearer <token>.' : 'The token is unknown or has expired.'
    const challenge = presented === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
    throw new ProblemError(
      401,
      'unauthorized',
      'A token is needed',
      detail,
      {},
      { 'www-authenticate': challenge },
    )
  }
  const needed = scope ?? 'admin'
  if (!token.scopes.includes(needed)) {
    throw new ProblemError(
      403,
      'insufficient_scope',
      'The token does not allow this',
      `It needs the scope ${needed}.`,
      {},
      { 'www-authenticate': `Bearer error="insufficient_scope", scope="${needed}"` },
    )
  }
  return token.name
}

/** Without it any web page could reach us from its visitor's browser, by a name that it lets point here. */
function requireKnownHost(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  if (request.routeOptions.config.probe === true) return
  const name = hostNameOf(request.headers.host ?? '')
  if (isLoopbackName(name) || allowed.has(name)) return
  throw new ProblemError(
    403,
    'host_not_allowed',
    'The API is not called by a name of its own',
    'Name the host in API_ALLOWED_HOSTS, or ask for tokens by API_AUTH=token.',
  )
}

/** Of a Host header, without the port and without [ ], in lower case. */
function hostNameOf(header: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:]*))(?::\d+)?$/i.exec(header)
  return (match?.[1] ?? match?.[2] ?? '').toLowerCase()
}

export function isLoopbackName(name: string): boolean {
  return (
    name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
  )
}

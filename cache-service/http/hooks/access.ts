import type { FastifyRequest } from 'fastify'
import type { ApiConfig } from '../../config/config.ts'
import { OperatorError } from '../../lifecycle/service.ts'
import type { ApiServer } from '../api-server-types.ts'
import type { TokenFile } from '../token-file.ts'
import { findToken, isExpired, type ApiToken, type TokenScope } from '../tokens.ts'
import { ProblemError } from '../problem.ts'

/** Who may call: callers with a token; or, without tokens, callers whose Host header names this API. */
export type Access =
  | { readonly kind: 'tokens'; tokens(): readonly ApiToken[]; now(): number }
  | { readonly kind: 'hosts'; readonly allowed: readonly string[] }

/** @throws OperatorError if others can reach the API without a token and API_AUTH does not allow that explicitly. */
export function createAccess(api: ApiConfig, tokenFile: TokenFile | undefined, now: () => number): Access {
  if (tokenFile !== undefined) return { kind: 'tokens', tokens: () => tokenFile.tokens, now }
  const problem = accessProblem(api)
  if (problem !== undefined) throw new OperatorError(`${problem}: ${ACCESS_FIX}`)
  return { kind: 'hosts', allowed: [api.host, ...api.allowedHosts] }
}

/** Why the API would not start: others can reach it, and API_AUTH does not say whether they may. undefined: it would. */
export function accessProblem({ auth, host }: Pick<ApiConfig, 'auth' | 'host'>): string | undefined {
  if (auth !== undefined || isLoopbackName(host)) return undefined
  return `API_AUTH is not set, and other machines can reach API_HOST ${host}`
}

export const ACCESS_FIX =
  'set API_AUTH=token and API_TOKENS_FILE, or API_AUTH=off if everyone who can reach the API may use it'

declare module 'fastify' {
  interface FastifyRequest {
    /** The token of the request, if it is valid; null if there is none, or if the route or the API needs none. */
    token: ApiToken | null
    /** Of routes with a stream: false once the token has been revoked or has expired. undefined: it needs none. */
    isStillAllowed: (() => boolean) | undefined
  }
}

/** Finds the token of each request. Separate from guardAccess: requests without a valid one are counted, too. */
export function identifyCallers(server: ApiServer, access: Access): void {
  server.decorateRequest('token', null)
  if (access.kind === 'hosts') return
  server.addHook('onRequest', (request, _reply, next) => {
    const presented = neededScope(request) === undefined ? undefined : presentedToken(request)
    if (presented !== undefined) request.token = findToken(access.tokens(), presented, access.now()) ?? null
    next()
  })
}

/** Rejects what the caller may not do; call it after identifyCallers. */
export function guardAccess(server: ApiServer, access: Access): void {
  server.decorateRequest('isStillAllowed', undefined)
  if (access.kind === 'tokens') {
    server.addHook('onRequest', (request, _reply, next) => {
      const needed = neededScope(request)
      if (needed !== undefined) {
        const token = requireScope(request, needed)
        if (request.routeOptions.config.stream === true)
          request.isStillAllowed = () => isAccepted(token, needed, access.tokens(), access.now())
      }
      next()
    })
  } else {
    const allowed = new Set(access.allowed.map((name) => name.toLowerCase()))
    server.addHook('onRequest', (request, _reply, next) => {
      requireKnownHost(request, allowed)
      next()
    })
  }
}

/** undefined: the route needs no token. */
function neededScope({ is404, routeOptions }: FastifyRequest): TokenScope | undefined {
  const { scope = 'admin' } = routeOptions.config
  // A path without a route has nothing to protect.
  return scope === 'public' || is404 ? undefined : scope
}

function presentedToken({ headers }: FastifyRequest): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
}

function requireScope(request: FastifyRequest, needed: TokenScope): ApiToken {
  const { token } = request
  if (token === null) {
    const presented = presentedToken(request)
    const detail =
      presented === undefined ? 'Send Authorization: Bearer <token>.' : 'The token is unknown or has expired.'
    const challenge = presented === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
    throw new ProblemError('unauthorized', { detail, headers: { 'www-authenticate': challenge } })
  }
  if (!token.scopes.includes(needed)) {
    throw new ProblemError('insufficient_scope', {
      detail: `The token needs the scope ${needed}.`,
      headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${needed}"` },
    })
  }
  return token
}

/** Whether the token would still be accepted: it is in the file with the scope, and has not expired. */
function isAccepted(
  { sha256 }: ApiToken,
  scope: TokenScope,
  tokens: readonly ApiToken[],
  nowMs: number,
): boolean {
  const token = tokens.find((known) => known.sha256 === sha256)
  return token !== undefined && token.scopes.includes(scope) && !isExpired(token, nowMs)
}

/** Prevents DNS rebinding: a web page could otherwise call this API from its visitor's browser by a name of its own. */
function requireKnownHost(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  if (request.routeOptions.config.probe === true) return
  const name = hostNameOf(request.headers.host ?? '')
  if (isLoopbackName(name) || allowed.has(name)) return
  throw new ProblemError('host_not_allowed')
}

/** The name in a Host header, without the port and without [ ], in lower case. */
function hostNameOf(header: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:]*))(?::\d+)?$/i.exec(header)
  return (match?.[1] ?? match?.[2] ?? '').toLowerCase()
}

function isLoopbackName(name: string): boolean {
  return (
    name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
  )
}

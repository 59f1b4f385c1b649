import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'

/** What a token must allow for a route; `public` needs no token. */
export type Scope = 'public' | 'read' | 'write' | 'admin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: `admin`. */
    scope?: Scope
    /** Answered under overload, too, and for any Host header. */
    probe?: boolean
    /** Stays open: not counted as a concurrent request, and its duration is not measured. */
    stream?: boolean
  }
}

export type ApiServer = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

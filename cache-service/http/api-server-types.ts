import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'

/** Who may call a route; `public` asks for no token. */
export type Scope = 'public' | 'read' | 'write' | 'admin'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: `admin`. */
    scope?: Scope
    /** Answers however busy we are, and by whatever name we are called. */
    probe?: boolean
    /** Stays open: it is not counted among the requests in work, and its time says nothing. */
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

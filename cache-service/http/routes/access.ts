import { z } from 'zod'
import type { ApiServer } from '../api-server-types.ts'
import { SCOPES } from '../tokens.ts'

const accessSchema = z.object({
  token: z.string().nullable().describe('Name of the token of this request; null: the API needs no tokens.'),
  scopes: z.array(z.enum(SCOPES)).describe('What the caller may do.'),
  expires_at: z.string().nullable().describe('When the token expires; null: never.'),
})

/** `GET /api/access`: what the caller may do, so that a console need not offer what would be refused. */
export function registerAccessRoutes(server: ApiServer): void {
  server.get(
    '/api/access',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getAccess',
        summary: 'Get the scopes and the expiry of the token of this request',
        tags: ['access'],
        response: { 200: accessSchema },
      },
    },
    async ({ token }) => ({
      token: token?.name ?? null,
      scopes: [...(token?.scopes ?? SCOPES)],
      expires_at: token?.expiresAtMs === undefined ? null : new Date(token.expiresAtMs).toISOString(),
    }),
  )
}

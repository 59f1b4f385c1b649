import { z } from 'zod'
import { stateSchema } from '../../../shared/contract/api-schemas.ts'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError, problemReplies } from '../problem.ts'

export type StatePorts = {
  /**
   * Resolves with the values by type, and with an event id: following the events from there misses nothing newer.
   * @param type undefined: all types. A type without a value is absent from the result.
   */
  readonly readState: (
    type: string | undefined,
  ) => Promise<{ readonly values: ReadonlyMap<string, unknown>; readonly lastEventId: string }>
}

/** `GET /api/state`, `GET /api/state/{type}`: the key-values that the kv-updater maintains. */
export function registerStateRoutes(server: ApiServer, { readState }: StatePorts): void {
  server.get(
    '/api/state',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getAllState',
        summary: 'Get all key-values',
        tags: ['state'],
        response: { 200: stateSchema },
      },
    },
    async () => {
      const { values, lastEventId } = await readState(undefined)
      return { state: Object.fromEntries(values), last_event_id: lastEventId }
    },
  )

  server.get(
    '/api/state/:type',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getState',
        summary: 'Get a key-value',
        tags: ['state'],
        params: z.object({ type: z.string().describe('The `type` of the update, percent-encoded.') }),
        response: { 200: stateSchema, ...problemReplies('not_found') },
      },
    },
    async ({ params: { type } }) => {
      const { values, lastEventId } = await readState(type)
      if (!values.has(type))
        throw new ProblemError('not_found', { detail: 'There is no value of this type.' })
      return { state: Object.fromEntries(values), last_event_id: lastEventId }
    },
  )
}

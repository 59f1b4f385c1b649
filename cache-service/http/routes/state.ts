import { z } from 'zod'
import { stateSchema } from '../../../shared/contract/api-schemas.ts'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

export type StatePorts = {
  /**
   * The values, and the place in the events from which everything newer follows.
   * @param type undefined: all that there are. Of a type without a value there is none.
   */
  readonly readState: (
    type: string | undefined,
  ) => Promise<{ readonly values: ReadonlyMap<string, unknown>; readonly lastEventId: string }>
}

/** `GET /api/state`, `GET /api/state/{type}`: what the kv-updater keeps. */
export function registerStateRoutes(server: ApiServer, { readState }: StatePorts): void {
  server.get(
    '/api/state',
    {
      config: { scope: 'read' },
      schema: { summary: 'All key-values', tags: ['state'], response: { 200: stateSchema } },
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
        summary: 'One key-value',
        tags: ['state'],
        params: z.object({ type: z.string() }),
        response: { 200: stateSchema },
      },
    },
    async ({ params: { type } }) => {
      const { values, lastEventId } = await readState(type)
      if (!values.has(type)) throw new ProblemError(404, 'not_found', 'There is no value of this type')
      return { state: Object.fromEntries(values), last_event_id: lastEventId }
    },
  )
}

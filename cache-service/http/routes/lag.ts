import { z } from 'zod'
import { lagReportSchema, type LagReport } from '../../core/workers/lag-report.ts'
import type { ApiServer } from '../api-server-types.ts'

export type LagPorts = {
  /** Resolves with the latest report of each group that a lag monitor measures. */
  readonly readLagReports: () => Promise<readonly LagReport[]>
}

/** `GET /api/lag`: nothing but what the lag monitor reports. */
export function registerLagRoutes(server: ApiServer, { readLagReports }: LagPorts): void {
  server.get(
    '/api/lag',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listLag',
        summary: 'Get the lag of consumer groups, as the lag monitor measures it',
        tags: ['workers'],
        response: { 200: z.object({ groups: z.array(lagReportSchema) }) },
      },
    },
    async () => ({ groups: [...(await readLagReports())] }),
  )
}

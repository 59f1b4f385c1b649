import { z } from 'zod'
import { workerReportSchema, type WorkerReport } from '../../core/workers/worker-report.ts'
import type { ApiServer } from '../api-server-types.ts'

export type WorkerPorts = {
  /** Resolves with the reports of the running workers. */
  readonly readReports: () => Promise<readonly WorkerReport[]>
}

const MAX_DEAD_LETTERS = 100

const deadLetterSchema = workerReportSchema.shape.dead_letters.element.extend({ worker: z.string() })

/** `GET /api/workers`, `GET /api/dead-letters`: nothing but what the workers report. */
export function registerWorkerRoutes(server: ApiServer, { readReports }: WorkerPorts): void {
  server.get(
    '/api/workers',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listWorkers',
        summary: 'Get the reports of the running workers',
        tags: ['workers'],
        response: { 200: z.object({ workers: z.array(workerReportSchema) }) },
      },
    },
    async () => ({ workers: [...(await readReports())] }),
  )

  server.get(
    '/api/dead-letters',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listDeadLetters',
        summary: 'List the latest dead letters',
        description:
          'The last 20 dead letters of each running worker, newest first. The error topic has all of them.',
        tags: ['workers'],
        response: { 200: z.object({ dead_letters: z.array(deadLetterSchema) }) },
      },
    },
    async () => {
      const reports = await readReports()
      const deadLetters = reports.flatMap(({ id, dead_letters }) =>
        dead_letters.map((deadLetter) => ({ worker: id, ...deadLetter })),
      )
      const newestFirst = deadLetters.toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
      return { dead_letters: newestFirst.slice(0, MAX_DEAD_LETTERS) }
    },
  )
}

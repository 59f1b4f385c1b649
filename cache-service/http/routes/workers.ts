import { z } from 'zod'
import { workerReportSchema, type WorkerReport } from '../../core/workers/worker-report.ts'
import type { ApiServer } from '../api-server-types.ts'

export type WorkerPorts = {
  /** Of the workers that live. */
  readonly readReports: () => Promise<readonly WorkerReport[]>
}

const MAX_DEAD_LETTERS = 100

const deadLetterSchema = workerReportSchema.shape.dead_letters.element.extend({ worker: z.string() })

/** `GET /api/workers`, `GET /api/dead-letters`: what the workers report, nothing else. */
export function registerWorkerRoutes(server: ApiServer, { readReports }: WorkerPorts): void {
  server.get(
    '/api/workers',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'What the workers report',
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
        summary: 'The latest dead letters',
        description:
          'Of each worker that lives its last 20, newest first. All of them are in the error topic.',
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

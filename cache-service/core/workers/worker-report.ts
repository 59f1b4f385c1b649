import { z } from 'zod'

/** What a worker says of itself every few seconds. Rates are a second's, over the time since the last report. */
export const workerReportSchema = z.object({
  id: z.string(),
  version: z.string(),
  started_at: z.string(),
  reported_at: z.string(),
  state: z.string().describe('Of its consumer.'),
  ready: z.boolean(),
  reasons: z.array(z.string()).describe('Why it is not ready.'),
  rebuilding: z.boolean().describe('It reads again what Redis does not hold: an unknown device may exist.'),
  rates: z.object({
    records: z.number(),
    applied: z.number(),
    dead_letters: z.number(),
  }),
  totals: z.record(z.string(), z.number()).describe('Records since its start, by what became of them.'),
  dead_letters_total: z.number(),
  lag: z
    .array(
      z.object({
        partition: z.number(),
        records: z.number(),
        seconds: z.number().nullable().describe('Age of the first record not yet durable; null: not known.'),
      }),
    )
    .nullable()
    .describe('Of each partition that it owns; null: not measured yet.'),
  lag_records: z.number().nullable(),
  devices: z.number().nullable().describe('Ids in the device index.'),
  dead_letters: z
    .array(
      z.object({
        at: z.string(),
        reason: z.string(),
        topic: z.string(),
        partition: z.number(),
        offset: z.string(),
      }),
    )
    .describe('The latest, newest first.'),
})

export type WorkerReport = z.infer<typeof workerReportSchema>

/** undefined: nobody of us, or another release, wrote this. */
export function parseWorkerReport(text: string): WorkerReport | undefined {
  try {
    return workerReportSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

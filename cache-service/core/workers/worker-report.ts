import { z } from 'zod'

/** What a worker reports about itself every few seconds. Rates are per second, over the time since the last report. */
export const workerReportSchema = z.object({
  id: z.string(),
  version: z.string(),
  group: z.string().optional().describe('Its consumer group. Older releases do not report it.'),
  topic: z.string().optional().describe('The topic that it reads. Older releases do not report it.'),
  started_at: z.string(),
  reported_at: z.string(),
  state: z.string().describe('State of its consumer.'),
  ready: z.boolean(),
  reasons: z.array(z.string()).describe('Why it is not ready.'),
  rebuilding: z
    .boolean()
    .describe('It is rereading records that Redis does not hold: a device that is not found may exist.'),
  rates: z.object({
    records: z.number(),
    applied: z.number(),
    dead_letters: z.number(),
  }),
  totals: z.record(z.string(), z.number()).describe('Records consumed since its start, by result.'),
  dead_letters_total: z.number(),
  dead_letters_by_reason: z
    .record(z.string(), z.number())
    .optional()
    .describe('Dead letters sent since its start, by reason. Older releases do not report it.'),
  lag: z
    .array(
      z.object({
        partition: z.number(),
        records: z.number(),
        seconds: z
          .number()
          .nullable()
          .describe('Age of the first record that is not durable yet; null if unknown.'),
      }),
    )
    .nullable()
    .describe('Lag of each partition that it owns; null if not measured yet.'),
  unread: z
    .array(
      z.object({
        partition: z.number(),
        records: z.number(),
        reason: z.string().describe('no_owner, other_member, no_leader or stuck.'),
        owner: z
          .string()
          .nullable()
          .describe('The member that owns it, if that is not a worker of this topic.'),
      }),
    )
    .optional()
    .describe(
      'Partitions whose records do not reach Redis: those of this worker, and those without a worker, by reason.',
    ),
  lag_records: z.number().nullable(),
  devices: z.number().nullable().describe('Number of ids in the device index.'),
  dead_letters: z
    .array(
      z.object({
        at: z.string(),
        reason: z.string(),
        topic: z.string(),
        partition: z.number(),
        offset: z.string(),
        message: z
          .string()
          .optional()
          .describe('Why the record can never be applied. Older releases do not report it.'),
      }),
    )
    .describe('The latest dead letters, newest first, with the coordinates of their records.'),
  history: z
    .object({
      interval_ms: z.number().describe('Time between two points.'),
      at: z.string().describe('When the newest point was taken.'),
      consumed_per_second: z.array(z.number()).describe('Average since the previous point.'),
      lag: z
        .array(z.number().nullable())
        .describe('Records of all partitions that it owned; null if not measured.'),
      dead_letters: z.array(z.number()).describe('Number of dead letters since the previous point.'),
    })
    .optional()
    .describe('The last 15 minutes, or less since its start: oldest first. Older releases do not report it.'),
})

export type WorkerReport = z.infer<typeof workerReportSchema>

/** The reports of the workers that read the topic in the group: workers of others may use the same Redis. */
export function reportsOf(
  { group, topic }: { readonly group: string; readonly topic: string },
  reports: readonly WorkerReport[],
): readonly WorkerReport[] {
  return reports.filter((report) => report.group === group && report.topic === topic)
}

/** undefined: the text is not a report that this release can read. */
export function parseWorkerReport(text: string): WorkerReport | undefined {
  try {
    return workerReportSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

import { z } from 'zod'

/** What the lag monitor has measured of one consumer group. */
export const lagReportSchema = z.object({
  group: z.string(),
  measured_at: z.string(),
  problem: z
    .string()
    .nullable()
    .describe('Why nothing, or not everything, is known; null: nothing is missing.'),
  group_state: z
    .string()
    .nullable()
    .describe('State of the group as Kafka names it, such as Stable; null: it could not be read.'),
  members: z
    .array(
      z.object({
        client_id: z.string(),
        host: z.string(),
        topics: z
          .array(z.string())
          .nullable()
          .describe('What it subscribes to; null: Kafka does not report it.'),
        partitions: z.number().describe('Number of partitions that are assigned to it.'),
      }),
    )
    .describe('The first 100.'),
  members_total: z.number(),
  shared_with: z
    .array(z.string())
    .describe('In the group of our workers: members that are not workers of this topic.'),
  records: z.number().describe('Lag of all partitions together.'),
  topics: z.array(
    z.object({
      topic: z.string(),
      problem: z.string().nullable().describe('Why it could not be read, such as: it does not exist.'),
      partitions: z.array(
        z.object({
          partition: z.number(),
          state: z.string().describe('ok, growing, standing, no_consumer, shared, no_leader or unknown.'),
          committed: z.number().nullable().describe('Next offset to read; null: none committed.'),
          earliest: z.number().nullable(),
          end: z.number().nullable(),
          records: z.number().nullable().describe('Lag; null: the partition has no leader.'),
          seconds: z
            .number()
            .nullable()
            .describe('Age of the first unread record; 0 if there is none; null: not known.'),
          owner: z.string().nullable().describe('Client id and host of the member that owns it.'),
          deleted_unread: z
            .number()
            .describe('Offsets after the committed one that Kafka has already deleted.'),
          seconds_until_deleted: z
            .number()
            .nullable()
            .describe(
              'Time until Kafka may delete the first unread record; null: none is unread, or it is not known.',
            ),
        }),
      ),
    }),
  ),
})

export type LagReport = z.infer<typeof lagReportSchema>
export type TopicLagReport = LagReport['topics'][number]
export type PartitionLagReport = TopicLagReport['partitions'][number]

/** undefined: the text is not a report that this release can read. */
export function parseLagReport(text: string): LagReport | undefined {
  try {
    return lagReportSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

import type { Admin, Kafka, Message } from 'kafkajs'
import type { TestContext } from 'vitest'
import { createGroupLagReader } from '../../../cache-service/kafka/group-lag-reader.ts'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { GroupLagMeter } from '../../../cache-service/pipeline/lag-monitor/group-lag-meter.ts'
import { createTopic, uniqueName } from '../test-scope.ts'

/** Topics whose records have given ages, and meters of groups that read them. */
export type LagWorld = {
  readonly brokers: readonly string[]
  readonly kafka: Kafka
  readonly admin: Admin
  /** The clock of the meters. Records of a test are never in the future. */
  readonly nowMs: number
  /** A topic of two partitions. The records of partition 0 have these ages. */
  topicWith(agesMs: readonly number[], config?: Readonly<Record<string, string>>): Promise<string>
  commit(groupId: string, topic: string, offset: number): Promise<void>
  openMeter(
    context: Pick<TestContext, 'onTestFinished'>,
    groupId: string,
    workerTopic?: string,
  ): GroupLagMeter
  close(): Promise<void>
}

export async function openLagWorld(brokers: readonly string[]): Promise<LagWorld> {
  const kafka = new kafkajs.Kafka({
    clientId: 'test',
    brokers: [...brokers],
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  const nowMs = Date.now() - 60_000

  async function send(topic: string, messages: Message[]): Promise<void> {
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({ topic, messages })
    await producer.disconnect()
  }

  return {
    brokers,
    kafka,
    admin,
    nowMs,
    async topicWith(agesMs, config = {}) {
      const topic = uniqueName('lag')
      await createTopic(brokers, topic, { partitions: 2, config })
      const messages = agesMs.map((ageMs) => ({
        partition: 0,
        value: 'r',
        timestamp: String(nowMs - ageMs),
      }))
      if (messages.length > 0) await send(topic, messages)
      return topic
    },
    async commit(groupId, topic, offset) {
      await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: String(offset) }] })
    },
    openMeter(context, groupId, workerTopic) {
      const reader = createGroupLagReader(kafka)
      context.onTestFinished(() => reader.disconnect())
      return new GroupLagMeter({
        groupId,
        workerTopic,
        reader,
        limits: { windowMs: 1_000, maxGapMs: 60_000 },
        now: () => nowMs,
        monotonicNow: () => performance.now(),
      })
    },
    close: () => admin.disconnect(),
  }
}

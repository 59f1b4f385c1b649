import { describe, expect, inject, test } from 'vitest'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { kafkajs } from '../../../../cache-service/kafka/kafkajs.ts'
import {
  replayDeadLetters,
  writeDeadLetters,
  type DeadLetterToWrite,
} from '../../../support/processes/dead-letter-scenario.ts'
import { readTopic } from '../../../support/records/read-topic.ts'
import { readEverything, readHash } from '../../../support/servers/redis-connection.ts'
import { createTopic, uniqueName } from '../../../support/test-scope.ts'
import { update, type TaggedRecord } from '../../../support/records/tagged-records.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../../../support/processes/worker-scenario.ts'

const open = (context: ScenarioContext) => openWorkerScenario(context, { partitions: 2 })

/** A record for a dead letter; it need not be in the topic. */
function recordOf({ key, timestampMs, value }: TaggedRecord, offset = 0): SourceRecord {
  return {
    offset: offset,
    timestampMs: timestampMs,
    key: key === null ? null : Buffer.from(key),
    value,
  }
}

const good = (deviceId: string, metadata = { datatype_name: 'temperature' }) =>
  recordOf(update({ deviceId, metadata }))
const broken = (deviceId: string): SourceRecord => ({ ...good(deviceId), value: Buffer.from('{') })
const storedName = (scenario: WorkerScenario, deviceId: string) =>
  scenario.redis.hget(`device:${deviceId}:metadata`, 'datatype_name')

/** Some tracing libraries write null headers. */
const HEADERS = { traced: 'yes', traceparent: null }

/** Sends records, each with these headers, to partition 1 of the topic, and returns them with their offsets. */
async function sendToTopic(
  scenario: WorkerScenario,
  records: readonly SourceRecord[],
): Promise<SourceRecord[]> {
  // KafkaJS itself cannot write null headers, and its types know none.
  const brokers = (scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(',')
  const kafka = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING })
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  try {
    const [written] = await producer.send({
      topic: scenario.topic,
      messages: records.map(({ key, value, timestampMs }) => ({
        key,
        value,
        timestamp: String(timestampMs),
        partition: 1,
        headers: HEADERS as unknown as Record<string, string>,
      })),
    })
    const base = Number(written?.baseOffset)
    return records.map((record, i) => ({ ...record, offset: base + i }))
  } finally {
    await producer.disconnect()
  }
}

async function topicMessages({ admin, kafka, topic }: WorkerScenario) {
  return await readTopic(kafka, admin, topic)
}

describe.concurrent('a replay to the cache', () => {
  test('applies records that are valid now, with index entry and expiry, and leaves invalid ones as dead letters', async (context) => {
    const scenario = await open(context)
    const { redis } = scenario
    await redis.set('device:blocked:metadata', 'not a hash')
    await writeDeadLetters(scenario, [
      { record: good('blocked') },
      { record: good('free') },
      { record: broken('invalid'), reason: 'not_json' },
      { record: { ...good('old'), timestampMs: Date.now() - 2 * 86_400_000 } },
      { record: { ...good('gone'), value: null } },
    ])
    const first = await replayDeadLetters(scenario)
    expect(first.counts).toMatchObject({ applied: 1, still_invalid: 2, expired: 1, tombstone: 1 })
    expect(first.failed).toBe(2)
    expect(first.replayed.map(({ outcome }) => outcome.detail ?? '').filter(Boolean)).toEqual([
      expect.stringContaining('wrong_type: WRONGTYPE'),
      expect.stringContaining('not_json: '),
    ])
    const free = await readHash(redis, 'device:free:metadata')
    expect(free?.expiresAtMs).toBeGreaterThan(Date.now() + 86_000_000)
    expect(await redis.smembers('devices')).toEqual(['free'])

    await redis.del('device:blocked:metadata')
    const second = await replayDeadLetters(scenario)
    expect(second.counts).toMatchObject({ applied: 1, still_invalid: 1, already_replayed: 3 })
    expect(await storedName(scenario, 'blocked')).toBe('temperature')
    expect(await readTopic(scenario.kafka, scenario.admin, scenario.errorTopic)).toHaveLength(5)
    expect(await topicMessages(scenario)).toEqual([])
  })

  test('never lets an older record win, whatever the order of the dead letters', async (context) => {
    const scenario = await open(context)
    const newest = Date.now() - 1_000
    const at = (ms: number, name: string): DeadLetterToWrite => ({
      record: recordOf(update({ deviceId: 'one', timestampMs: ms, metadata: { datatype_name: name } })),
    })
    await writeDeadLetters(scenario, [
      at(newest - 5_000, 'older'),
      at(newest, 'newest'),
      at(newest - 9_000, 'oldest'),
    ])
    expect((await replayDeadLetters(scenario)).counts).toMatchObject({ applied: 2, stale: 1 })
    expect(await storedName(scenario, 'one')).toBe('newest')
  })

  test('reads a record from its topic if it did not fit into the dead letter', async (context) => {
    const scenario = await open(context)
    const metadata = { datatype_name: 'x'.repeat(400_000) }
    const [large, small] = await sendToTopic(scenario, [good('large', metadata), good('small')])
    if (large === undefined || small === undefined) throw new Error('nothing was sent')
    await writeDeadLetters(scenario, [
      { record: large, partition: 1 },
      { record: small, partition: 1, isCut: true },
    ])
    expect((await replayDeadLetters(scenario)).counts).toMatchObject({ applied: 2, original_gone: 0 })
    expect(await storedName(scenario, 'large')).toBe(metadata.datatype_name)
  })

  test('explains for each dead letter why its record is gone', async (context) => {
    const scenario = await open(context)
    const { admin, topic } = scenario
    const sent = await sendToTopic(scenario, [good('a'), good('b'), good('c')])
    const [a, b, c] = sent
    if (a === undefined || b === undefined || c === undefined) throw new Error('nothing was sent')
    await writeDeadLetters(scenario, [
      { record: a, partition: 1, isCut: true },
      { record: { ...b, offset: 99 }, partition: 1, isCut: true },
      { record: { ...b, offset: c.offset }, partition: 1, isCut: true },
    ])
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '1' }] })
    const { counts, replayed } = await replayDeadLetters(scenario)
    expect(counts).toMatchObject({ applied: 0, original_gone: 3 })
    expect(replayed.map(({ outcome }) => outcome.detail)).toEqual([
      `Kafka has deleted ${topic} 1:0: the partition begins at 1`,
      `${topic} 1:99 does not exist: the partition ends at 3`,
      `${topic} 1:2 is a different record now`,
    ])
  })

  test('skips dead letters that were replayed before, except with `again`', async (context) => {
    const scenario = await open(context)
    await writeDeadLetters(scenario, [{ record: good('a') }, { record: good('b') }])
    expect((await replayDeadLetters(scenario)).counts).toMatchObject({ applied: 2 })
    await scenario.redis.del('device:a:metadata')
    expect((await replayDeadLetters(scenario)).counts).toMatchObject({ applied: 0, already_replayed: 2 })
    expect((await replayDeadLetters(scenario, { again: true })).counts).toMatchObject({
      applied: 1,
      unchanged: 1,
    })
    const [ledger] = await scenario.redis.keys('cache_service:replayed:*')
    expect(await scenario.redis.pttl(ledger ?? '')).toBeGreaterThan(1_000)
  })

  test('that runs twice concurrently counts each dead letter once', async (context) => {
    const scenario = await open(context)
    await writeDeadLetters(
      scenario,
      Array.from({ length: 30 }, (_, i) => ({ record: good(`d-${i}`) })),
    )
    const both = await Promise.all([replayDeadLetters(scenario), replayDeadLetters(scenario)])
    const sum = (result: 'applied' | 'unchanged' | 'already_replayed') =>
      both.reduce((total, { counts }) => total + counts[result], 0)
    expect(sum('applied') + sum('unchanged')).toBe(30)
    expect(sum('already_replayed')).toBe(30)
  })

  test('replays the dead letters that match the filter', async (context) => {
    const scenario = await open(context)
    const deadLetters = ['a', 'b', 'c'].map((id, i): DeadLetterToWrite => ({
      record: { ...good(id), offset: i },
      reason: id === 'b' ? 'refused_by_redis' : 'wrong_type',
      partition: i,
    }))
    await writeDeadLetters(scenario, deadLetters)
    const devices = async (filter: Parameters<typeof replayDeadLetters>[1]) => {
      const { replayed, scanned } = await replayDeadLetters(scenario, { ...filter, isDryRun: true })
      expect(scanned.matching).toBe(replayed.length)
      return replayed.map(({ deadLetter }) => deadLetter.deviceId).join('')
    }
    expect(await devices({ filter: { reasons: ['wrong_type'] } })).toBe('ac')
    expect(await devices({ filter: { devices: ['b'] } })).toBe('b')
    expect(await devices({ filter: { source: [{ partition: 2, from: 0, to: 2 }] } })).toBe('c')
    expect(await devices({ filter: { deadLetters: [{ partition: 0, from: 1, to: 1 }] } })).toBe('b')
    expect(await devices({ filter: { sinceMs: Date.now() + 60_000 } })).toBe('')
    expect(await devices({ filter: { sinceMs: Date.now() - 60_000, untilMs: Date.now() + 60_000 } })).toBe(
      'abc',
    )
  })

  test('reports what would happen in a dry run, and changes nothing', async (context) => {
    const scenario = await open(context)
    const { redis } = scenario
    await redis.set('device:blocked:metadata', 'not a hash')
    await writeDeadLetters(scenario, [
      { record: good('blocked') },
      { record: good('free') },
      { record: broken('invalid') },
      { record: { ...good('keyless'), value: null } },
    ])
    const before = await readEverything(redis)
    const { counts, failed } = await replayDeadLetters(scenario, { isDryRun: true })
    expect(counts).toMatchObject({ applied: 1, still_invalid: 2, tombstone: 1 })
    expect(failed).toBe(2)
    expect(await readEverything(redis)).toEqual(before)
  })

  test('ignores the messages of other services', async (context) => {
    const scenario = await open(context)
    const producer = scenario.kafka.producer()
    await producer.connect()
    await producer.send({
      topic: scenario.errorTopic,
      messages: [{ value: '{"service":"normalizer"}' }, { value: null }],
    })
    await producer.disconnect()
    await writeDeadLetters(scenario, [{ record: good('ours') }])
    const { counts, scanned } = await replayDeadLetters(scenario)
    expect(scanned).toEqual({ read: 3, matching: 1, foreign: 2, cut: [] })
    expect(counts.applied).toBe(1)
  })
})

describe.concurrent('a replay to the topic', () => {
  test('keeps the partition, key, timestamp and headers of the record, and adds a replay count', async (context) => {
    const scenario = await open(context)
    const [record] = await sendToTopic(scenario, [good('one')])
    if (record === undefined) throw new Error('nothing was sent')
    await writeDeadLetters(scenario, [{ record, partition: 1 }])
    expect((await replayDeadLetters(scenario, { to: 'topic' })).counts).toMatchObject({ sent: 1 })
    const [, replayed] = await topicMessages(scenario)
    expect(replayed).toMatchObject({ partition: 1, offset: 1, key: Buffer.from('one'), value: record.value })
    expect(replayed?.headers).toEqual({
      traced: Buffer.from('yes'),
      traceparent: null,
      replay_count: Buffer.from('1'),
    })
    const timesMs: number[] = []
    const consumer = scenario.kafka.consumer({ groupId: uniqueName('times') })
    await consumer.connect()
    await consumer.subscribe({ topics: [scenario.topic], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void timesMs.push(Number(message.timestamp)) })
    await expect.poll(() => timesMs, { timeout: 30_000 }).toEqual([record.timestampMs, record.timestampMs])
    await consumer.disconnect()
    expect(await scenario.redis.keys('device:*')).toEqual([])
  })

  test('uses the bytes in the dead letter if the record itself is gone', async (context) => {
    const scenario = await open(context)
    const record = { ...good('one'), offset: 77 }
    await writeDeadLetters(scenario, [{ record, partition: 1 }])
    expect((await replayDeadLetters(scenario, { to: 'topic' })).counts).toMatchObject({ sent: 1 })
    expect(await topicMessages(scenario)).toMatchObject([{ partition: 1, value: record.value }])
  })

  test('does not send records that are still invalid or have been replayed three times', async (context) => {
    const scenario = await open(context)
    const again = (count: string): SourceRecord => ({
      ...good('one'),
      headers: { replay_count: Buffer.from(count) },
    })
    await writeDeadLetters(scenario, [
      { record: broken('b') },
      { record: again('3') },
      { record: again('2') },
    ])
    const { counts, failed } = await replayDeadLetters(scenario, { to: 'topic' })
    expect(counts).toMatchObject({ sent: 1, still_invalid: 1, replayed_too_often: 1 })
    expect(failed).toBe(2)
    const messages = await topicMessages(scenario)
    expect(messages.map(({ headers }) => String(headers['replay_count']))).toEqual(['3'])
  })

  test('that runs twice concurrently, and once more, sends each dead letter once', async (context) => {
    const scenario = await open(context)
    await writeDeadLetters(
      scenario,
      Array.from({ length: 20 }, (_, i) => ({ record: good(`d-${i}`) })),
    )
    await Promise.all([
      replayDeadLetters(scenario, { to: 'topic' }),
      replayDeadLetters(scenario, { to: 'topic' }),
    ])
    expect((await replayDeadLetters(scenario, { to: 'topic' })).counts).toMatchObject({
      already_replayed: 20,
    })
    const keys = (await topicMessages(scenario)).map(({ key }) => String(key))
    expect(keys.sort()).toEqual(Array.from({ length: 20 }, (_, i) => `d-${i}`).sort())
  })

  test('reports a dead letter whose earlier replay has no recorded outcome, and resends it only with `again`', async (context) => {
    const scenario = await open(context)
    await writeDeadLetters(scenario, [{ record: good('one') }])
    await scenario.redis.setbit(`cache_service:replayed:${scenario.errorTopic}:0:0`, 0, 1)
    const { counts, failed } = await replayDeadLetters(scenario, { to: 'topic' })
    expect(counts).toMatchObject({ sent: 0, outcome_unknown: 1 })
    expect(failed).toBe(1)
    expect((await replayDeadLetters(scenario, { to: 'topic', again: true })).counts).toMatchObject({
      sent: 1,
    })
    expect(await topicMessages(scenario)).toHaveLength(1)
  })

  test('can be retried for a record that Kafka refused', async (context) => {
    const scenario = await open(context)
    const inTwoHours = { ...good('one'), timestampMs: Date.now() + 7_200_000 }
    await writeDeadLetters(scenario, [{ record: inTwoHours }])
    const refused = await replayDeadLetters(scenario, { to: 'topic' })
    expect(refused.counts).toMatchObject({ failed: 1 })
    expect(refused.endedBy).toBeUndefined()
    expect((await replayDeadLetters(scenario, { to: 'topic' })).counts).toMatchObject({ failed: 1 })
  })

  test('sends nothing in a dry run', async (context) => {
    const scenario = await open(context)
    await writeDeadLetters(scenario, [{ record: good('one') }, { record: broken('b') }])
    const { counts } = await replayDeadLetters(scenario, { to: 'topic', isDryRun: true })
    expect(counts).toMatchObject({ sent: 1, still_invalid: 1 })
    expect(await topicMessages(scenario)).toEqual([])
    expect(await scenario.redis.keys('*')).toEqual([])
  })
})

test('a dead letter from another topic can be replayed to the cache, but not to this topic', async (context) => {
  const scenario = await open(context)
  const elsewhere = uniqueName('elsewhere')
  await createTopic(inject('kafkaBrokers'), elsewhere)
  const { errorTopic, kafka } = scenario
  await writeDeadLetters({ errorTopic, kafka, topic: elsewhere }, [{ record: good('one') }])
  expect((await replayDeadLetters(scenario, { to: 'topic' })).counts).toMatchObject({ failed: 1 })
  expect((await replayDeadLetters(scenario)).counts).toMatchObject({ applied: 1 })
})

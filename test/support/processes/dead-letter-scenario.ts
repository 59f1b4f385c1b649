import { createCacheTarget, createTopicTarget } from '../../../cache-service/pipeline/replay/replay-target.ts'
import { createReplay } from '../../../cache-service/pipeline/replay/replay.ts'
import {
  runReplay,
  type ReplayedDeadLetter,
  type ReplaySummary,
} from '../../../cache-service/pipeline/replay/replay-run.ts'
import {
  buildDeadLetter,
  withoutOriginal,
  type DeadLetter,
} from '../../../cache-service/core/dead-letters/dead-letter.ts'
import type { DeadLetterFilter } from '../../../cache-service/core/dead-letters/filter.ts'
import type { ParseSettings, RejectReason } from '../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../cache-service/core/records/source-record.ts'
import { createDeadLetterProducer } from '../../../cache-service/kafka/dead-letter-producer.ts'
import { createRecordFinder } from '../../../cache-service/kafka/record-finder.ts'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { createReplayProducer } from '../../../cache-service/kafka/replay-producer.ts'
import { createTopicBounds } from '../../../cache-service/kafka/topic-bounds.ts'
import { TopicReader } from '../../../cache-service/kafka/topic-reader.ts'
import { createDeviceWriter } from '../../../cache-service/redis/devices/device-writer.ts'
import { createReplayLedger } from '../../../cache-service/redis/workers/replay-ledger.ts'
import { readStoredHash } from '../../../cache-service/redis/devices/stored-hash.ts'
import { update } from '../records/tagged-records.ts'
import { uniqueName } from '../test-scope.ts'
import type { WorkerScenario } from './worker-scenario.ts'

export const SETTINGS: ParseSettings = {
  metadataTtlMs: 86_400_000,
  maxFutureSkewMs: 300_000,
  maxRecordBytes: 1_048_576,
  extraFields: 'all',
}

const ALL_DEAD_LETTERS: DeadLetterFilter = {
  reasons: [],
  devices: [],
  sinceMs: undefined,
  untilMs: undefined,
  source: [],
  deadLetters: [],
}

export type DeadLetterToWrite = {
  readonly record: SourceRecord
  readonly reason?: RejectReason
  readonly partition?: number
  /** True: written as if the broker had refused the dead letter with the record's bytes. */
  readonly isCut?: boolean
}

/** Dead letters of the devices `d-0`, `d-1` and so on, with records that are valid now. */
export function validDeadLetters(count: number): DeadLetterToWrite[] {
  return Array.from({ length: count }, (_, i) => {
    const { key, timestampMs, value } = update({ deviceId: `d-${i}` })
    const record = { key: Buffer.from(key ?? ''), timestampMs: timestampMs, value, offset: i }
    return { record }
  })
}

/** Writes dead letters as a worker does, without starting one. */
export async function writeDeadLetters(
  scenario: Pick<WorkerScenario, 'errorTopic' | 'kafka' | 'topic'>,
  deadLetters: readonly DeadLetterToWrite[],
): Promise<void> {
  const { errorTopic, kafka, topic } = scenario
  const producer = createDeadLetterProducer(kafka, errorTopic, { deadLetterShortened: () => undefined })
  try {
    for (const { record, reason = 'wrong_type', partition = 0, isCut = false } of deadLetters) {
      const origin = { topic, partition }
      const rejection = { index: 0, reason, detail: 'for a test' }
      const deadLetter: DeadLetter = buildDeadLetter(record, origin, rejection, Date.now(), '0.0.0-test')
      await producer.send([isCut ? withoutOriginal(deadLetter, origin) : deadLetter], origin)
    }
  } finally {
    await producer.disconnect()
  }
}

export type ReplayOptions = {
  readonly to?: 'cache' | 'topic'
  readonly filter?: Partial<DeadLetterFilter>
  readonly again?: boolean
  readonly isDryRun?: boolean
}

export type ReplayRun = ReplaySummary & { readonly replayed: readonly ReplayedDeadLetter[] }

/** Runs one replay, from reading the error topic to the summary, and closes everything that it opened. */
export async function replayDeadLetters(
  scenario: WorkerScenario,
  options: ReplayOptions = {},
): Promise<ReplayRun> {
  const { env, errorTopic, redis, topic } = scenario
  const kafka = new kafkajs.Kafka({
    clientId: 'test-replay',
    brokers: (env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(','),
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const { again = false, filter = {}, isDryRun = false, to = 'cache' } = options
  const now = () => Date.now()
  const stop = new AbortController().signal
  const bounds = createTopicBounds(kafka)
  const groupOf = (purpose: string) => ({ id: uniqueName(purpose), sessionTimeoutMs: 30_000 })
  const reader = new TopicReader(kafka, errorTopic, groupOf('dead-letters'), now)
  const finder = createRecordFinder(kafka, topic, bounds, groupOf('finder'), now)
  const producer = createReplayProducer(kafka, topic)
  const target =
    to === 'topic'
      ? createTopicTarget({ topic, settings: SETTINGS, producer, now })
      : createCacheTarget({
          settings: SETTINGS,
          writer: createDeviceWriter(redis, { maxKeys: 100, maxBytes: 100_000 }),
          stored: (deviceId) => readStoredHash(redis, deviceId, now()),
          changed: () => undefined,
          now,
        })
  const ledger = createReplayLedger(redis, errorTopic, 60_000)
  const replay = createReplay({ target, sourceTopic: topic, finder, ledger, again, isDryRun, stop })
  const replayed: ReplayedDeadLetter[] = []
  try {
    const scan = { errorTopic, bounds, reader, stop, progress: () => undefined }
    const summary = await runReplay(scan, { ...ALL_DEAD_LETTERS, ...filter }, replay, (deadLetter) => {
      replayed.push(deadLetter)
    })
    return { ...summary, replayed }
  } finally {
    await Promise.all([producer.disconnect(), finder.close(), reader.close(), bounds.disconnect()])
  }
}

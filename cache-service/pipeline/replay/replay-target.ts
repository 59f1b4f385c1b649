import { redisError, type ServiceError } from '../../../shared/errors.ts'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import {
  changedDevice,
  explainChange,
  explainRecord,
  type Outcome,
  type StoredHash,
} from '../../core/records/explain.ts'
import type { ParseSettings } from '../../core/records/parse-record.ts'
import { settle } from '../../core/records/settle.ts'
import type { SourceRecord } from '../../core/records/source-record.ts'
import type { StoredDeadLetter } from '../../core/dead-letters/stored-dead-letter.ts'
import type { ReplayProducer } from '../../kafka/replay-producer.ts'
import type { DeviceWriter } from '../../redis/devices/device-writer.ts'

/** What happened to a dead letter or, in a dry run, what would happen. A closed set. */
export const REPLAY_RESULTS = [
  // to the cache
  'applied',
  'unchanged',
  'stale',
  'tombstone',
  'expired',
  'skipped',
  // to the topic
  'sent',
  // to either
  'already_replayed',
  'still_invalid',
  'replayed_too_often',
  'original_gone',
  'outcome_unknown',
  'failed',
] as const
export type ReplayResult = (typeof REPLAY_RESULTS)[number]

/** The results that an operator must look into. */
export const FAILED_RESULTS: ReadonlySet<ReplayResult> = new Set<ReplayResult>([
  'outcome_unknown',
  'replayed_too_often',
  'still_invalid',
  'original_gone',
  'failed',
])

export type ReplayOutcome = {
  readonly result: ReplayResult
  readonly detail?: string
  /** The reason to end the run: a server is unavailable, or refuses access. */
  readonly outage?: ServiceError
}

/** The destination of replayed records. */
export type ReplayTarget = {
  /** True: a record must not be written twice, even if it is unknown whether it was written. */
  readonly isOnce: boolean
  /** True: the original record is preferred to the dead letter's copy, if it still exists. */
  readonly wantsSource: boolean
  /** Returns why the record must not be sent, if so; called before the record is claimed in the ledger. */
  refuse(record: SourceRecord, deadLetter: StoredDeadLetter): ReplayOutcome | undefined
  send(record: SourceRecord, deadLetter: StoredDeadLetter): Promise<ReplayOutcome>
  /** Returns the expected outcome of `send`, without changing anything. */
  preview(record: SourceRecord, deadLetter: StoredDeadLetter): Promise<ReplayOutcome>
}

export type CacheTargetDependencies = {
  readonly settings: ParseSettings
  readonly writer: DeviceWriter
  readonly stored: (deviceId: DeviceId) => Promise<StoredHash>
  /** Called when a device was changed or deleted. */
  readonly changed: (kind: 'changed' | 'deleted', deviceId: DeviceId) => void
  readonly now: () => number
}

/** Writes directly to Redis, with the worker's own functions. Idempotent. */
export function createCacheTarget(dependencies: CacheTargetDependencies): ReplayTarget {
  const { changed, now, settings, stored, writer } = dependencies
  return {
    isOnce: false,
    wantsSource: false,
    refuse: () => undefined,
    async send(record) {
      const { plan } = explainRecord(record, now(), settings)
      try {
        const outcome = await writer.write(plan)
        const settled = settle(plan, outcome)
        const [rejection] = settled.rejections
        if (rejection !== undefined) {
          return { result: 'still_invalid', detail: `${rejection.reason}: ${rejection.detail}` }
        }
        const [update] = plan.updates
        if (update !== undefined && outcome.updates[0] === 'changed') changed('changed', update.deviceId)
        const [tombstone] = plan.deletes
        if (tombstone !== undefined && outcome.deletes[0] === 'deleted')
          changed('deleted', tombstone.deviceId)
        const { counts } = settled
        const results = ['applied', 'unchanged', 'stale', 'tombstone', 'expired'] as const
        return { result: results.find((result) => counts[result] > 0) ?? 'skipped' }
      } catch (error) {
        const outage = redisError(error)
        return { result: 'failed', detail: outage.message, outage }
      }
    },
    async preview(record) {
      const explanation = explainRecord(record, now(), settings)
      const deviceId = changedDevice(explanation)
      const found = deviceId === undefined ? ({ kind: 'absent' } as const) : await stored(deviceId)
      const { verdict } = explanation
      if (verdict.kind === 'rejected') {
        return { result: 'still_invalid', detail: `${verdict.reason}: ${verdict.detail}` }
      }
      return RESULT_OF[explainChange(explanation, found).outcome]
    },
  }
}

const RESULT_OF: Readonly<Record<Outcome, ReplayOutcome>> = {
  changed: { result: 'applied' },
  unchanged: { result: 'unchanged' },
  stale: { result: 'stale' },
  deleted: { result: 'tombstone' },
  absent: { result: 'tombstone' },
  kept: { result: 'tombstone' },
  skipped: { result: 'skipped' },
  expired: { result: 'expired' },
  wrong_type: { result: 'still_invalid', detail: 'wrong_type: the key of the device holds another type' },
  dead_lettered: { result: 'still_invalid' },
}

/** Keeps a record that fails repeatedly from being replayed endlessly. */
const MAX_REPLAYS = 3

export type TopicTargetDependencies = {
  readonly topic: string
  readonly settings: ParseSettings
  readonly producer: ReplayProducer
  readonly now: () => number
}

/** Sends the record back to its topic: to the same partition, with the same key and timestamp. */
export function createTopicTarget({ now, producer, settings, topic }: TopicTargetDependencies): ReplayTarget {
  return {
    isOnce: true,
    wantsSource: true,
    refuse(record, deadLetter) {
      if (deadLetter.source.topic !== topic) {
        return {
          result: 'failed',
          detail: `the record came from topic ${deadLetter.source.topic}, not ${topic}`,
        }
      }
      if (deadLetter.replayCount >= MAX_REPLAYS) {
        return {
          result: 'replayed_too_often',
          detail: `the record has been replayed ${deadLetter.replayCount} times already; the limit is ${MAX_REPLAYS}`,
        }
      }
      const { verdict } = explainRecord(record, now(), settings)
      return verdict.kind === 'rejected'
        ? { result: 'still_invalid', detail: `${verdict.reason}: ${verdict.detail}` }
        : undefined
    },
    async send(record, { replayCount, source }) {
      const { key, offset, timestampMs, value } = record
      const headers = { ...record.headers, replay_count: String(replayCount + 1) }
      const outcome = await producer.produce({ headers, key, offset, timestampMs, value }, source.partition)
      switch (outcome.kind) {
        case 'acknowledged':
          return { result: 'sent' }
        case 'refused':
          return { result: 'failed', detail: outcome.error.message, ...outageOf(outcome.error) }
        case 'unknown':
          return {
            result: 'outcome_unknown',
            detail: `${outcome.error.message}: the record may or may not be in ${topic}`,
            ...outageOf(outcome.error),
          }
      }
    },
    preview: async () => ({ result: 'sent' }),
  }
}

function outageOf(error: ServiceError): Pick<ReplayOutcome, 'outage'> {
  const isOfThisRecord = error.code === 'MESSAGE_TOO_LARGE' || error.code === 'OTHER'
  return isOfThisRecord ? {} : { outage: error }
}

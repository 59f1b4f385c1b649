import { internalErrorsInARow } from '../../../shared/errors.ts'
import type { Chunk, ChunkSteps } from '../../core/records/chunk.ts'
import { buildDeadLetter, type DeadLetter } from '../../core/dead-letters/dead-letter.ts'
import { buildUndecodableDeadLetters } from '../../core/dead-letters/undecodable.ts'
import type { ParseSettings } from '../../core/records/parse-record.ts'
import { planChunk, type ChunkPlan, type Rejection } from '../../core/records/plan.ts'
import { settle } from '../../core/records/settle.ts'
import type { DeadLetterProducer } from '../../kafka/dead-letter-producer.ts'
import type { DeviceWriter } from '../../redis/devices/device-writer.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'
import type { DeviceHints } from './device-hints.ts'
import type { LagMeter } from './lag-meter.ts'
import type { ProgressGuard } from './progress-guard.ts'
import type { WorkerFigures } from './worker-figures.ts'

export type ChunkApplierDependencies = Clocks & {
  readonly topic: string
  readonly settings: ParseSettings
  readonly serviceVersion: string
  readonly writer: DeviceWriter
  readonly deadLetters: DeadLetterProducer
  /** Stand for the connections to Redis: others than before if one was replaced. */
  readonly connections: () => readonly unknown[]
  readonly guard: ProgressGuard
  readonly lag: LagMeter
  readonly hints: Pick<DeviceHints, 'note'>
  readonly figures: Pick<WorkerFigures, 'chunkApplied' | 'deadLetter' | 'deadLettersSent'>
  readonly telemetry: WorkerTelemetry
}

export type PreparedChunk = {
  readonly chunk: Chunk
  readonly plan: ChunkPlan
  /** By the monotonic clock. */
  readonly startedMs: number
  /**
   * Logged and listed once, however often they must be sent; and sent once, even if a later step fails and the same chunk is
   * written again.
   */
  deadLetters: 'unreported' | 'reported' | 'sent'
}

/** So that a bad release cannot turn the whole topic into dead letters. */
const MAX_INTERNAL_ERRORS_IN_A_ROW = 50
/** Dead letters of undecodable batches are built and sent in groups of this size, since a batch may hold very many. */
const DEAD_LETTERS_PER_SEND = 500

/**
 * chunk → parse → coalesce → plan, and then write → dead letters → progress.
 *
 * The chunk is durable, and its offsets may be committed, only when all of this is acknowledged. Progress comes last,
 * because it says that everything before it is there. Every step may be done twice. A chunk without deletes and
 * dead letters takes one round trip: its progress is advanced by the last script call that writes its devices.
 */
export function createChunkApplier(dependencies: ChunkApplierDependencies): ChunkSteps<PreparedChunk> {
  const { connections, deadLetters, figures, guard, hints, lag, monotonicNow, now, settings } = dependencies
  const { telemetry, topic, writer } = dependencies
  let internalErrors = 0

  return {
    prepare(chunk) {
      const startedMs = monotonicNow()
      lag.began(chunk)
      const plan = planChunk(chunk.records, {
        nowMs: now(),
        settings,
        internalErrorsInARow: internalErrors,
      })
      internalErrors = plan.internalErrorsInARow
      return { chunk, plan, startedMs, deadLetters: 'unreported' }
    },

    async write(prepared) {
      const { chunk, plan, startedMs } = prepared
      const before = await guard.beforeChunk(chunk)
      if (before.kind !== 'in_step') return before
      if (plan.mostInternalErrorsInARow >= MAX_INTERNAL_ERRORS_IN_A_ROW) {
        throw internalErrorsInARow(plan.mostInternalErrorsInARow)
      }
      const writeStartedMs = monotonicNow()
      const needsDeadLetters = plan.rejections.length > 0 || chunk.undecodable !== undefined
      const step = needsDeadLetters ? undefined : guard.stepOf(chunk)
      const used = connections()
      const isUnbroken = () => isSameList(used, connections())
      const outcome = await writer.write(plan, step)
      const writeMs = monotonicNow() - writeStartedMs
      const settled = settle(plan, outcome)
      if (prepared.deadLetters === 'unreported') {
        reportDeadLetters(chunk, settled.rejections)
        prepared.deadLetters = 'reported'
      }
      if (prepared.deadLetters === 'reported') {
        await sendDeadLetters(chunk, settled.rejections)
        prepared.deadLetters = 'sent'
      }
      const after = await guard.afterChunk(chunk, outcome.hasAdvanced, isUnbroken)
      if (after.kind !== 'in_step') return after

      const undecodable = (chunk.undecodable ?? []).reduce((sum, { records }) => sum + records, 0)
      const counts = { ...settled.counts, dead_lettered: settled.counts.dead_lettered + undecodable }
      lag.durable(chunk)
      hints.note(plan, outcome)
      figures.chunkApplied(counts)
      telemetry.chunkApplied({
        partition: chunk.partition,
        firstOffset: chunk.position,
        lastOffset: chunk.next - 1,
        records: chunk.records.length + undecodable,
        counts,
        clockSkews: plan.clockSkews,
        suspiciousTimes: plan.suspiciousTimes,
        recordTimesMs: plan.recordTimesMs,
        writeMs,
        totalMs: monotonicNow() - startedMs,
      })
      return { kind: 'durable' }
    },
  }

  function reportDeadLetters(chunk: Chunk, rejections: readonly Rejection[]): void {
    const origin = { topic, partition: chunk.partition }
    for (const { detail, index, reason } of rejections) {
      const record = chunk.records[index]
      if (record === undefined) continue
      const deadLetter = { ...origin, offset: record.offset, reason, detail }
      telemetry.deadLetter(deadLetter)
      figures.deadLetter(deadLetter)
    }
    for (const { codec, detail, firstOffset, records } of chunk.undecodable ?? []) {
      telemetry.batchUndecodable({ ...origin, firstOffset, records, codec, detail })
      figures.deadLetter({ ...origin, offset: firstOffset, reason: 'undecodable', detail })
    }
  }

  async function sendDeadLetters(chunk: Chunk, rejections: readonly Rejection[]): Promise<void> {
    const { serviceVersion } = dependencies
    const origin = { topic, partition: chunk.partition }
    const unsent: DeadLetter[] = rejections.flatMap((rejection) => {
      const record = chunk.records[rejection.index]
      return record === undefined ? [] : [buildDeadLetter(record, origin, rejection, now(), serviceVersion)]
    })
    if (unsent.length > 0) {
      await deadLetters.send(unsent, origin)
      const reasons = rejections.map(({ reason }) => reason)
      telemetry.deadLettersSent(reasons)
      figures.deadLettersSent(reasons)
    }
    for (const batch of chunk.undecodable ?? []) {
      const undecodableRecords = buildUndecodableDeadLetters(batch, origin, now(), serviceVersion)
      for (const group of groupsOf(undecodableRecords, DEAD_LETTERS_PER_SEND)) {
        await deadLetters.send(group, origin)
        const reasons = group.map(() => 'undecodable' as const)
        telemetry.deadLettersSent(reasons)
        figures.deadLettersSent(reasons)
      }
    }
  }
}

function isSameList(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((one, i) => one === others[i])
}

function* groupsOf<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = []
  for (const item of items) {
    group.push(item)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

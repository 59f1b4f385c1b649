import { internalErrorsInARow } from '../../../shared/errors.ts'
import type { ApplyChunk, Chunk } from '../../core/records/chunk.ts'
import { buildDeadLetter } from '../../core/dead-letters/dead-letter.ts'
import type { ParseSettings } from '../../core/records/parse-record.ts'
import { planChunk } from '../../core/records/plan.ts'
import { settle, type Settled } from '../../core/records/settle.ts'
import type { DeadLetterProducer } from '../../kafka/dead-letter-producer.ts'
import type { DeviceIndex } from '../../redis/devices/device-index.ts'
import type { DeviceWriter } from '../../redis/devices/device-writer.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'
import type { DeviceHints } from './device-hints.ts'
import type { LagMeter } from './lag-meter.ts'
import type { ProgressGuard } from './progress-guard.ts'
import type { WorkerFigures } from './worker-figures.ts'

export type ChunkApplierDependencies = {
  readonly topic: string
  readonly settings: ParseSettings
  readonly serviceVersion: string
  readonly writer: DeviceWriter
  readonly index: DeviceIndex
  readonly deadLetters: DeadLetterProducer
  readonly guard: ProgressGuard
  readonly lag: LagMeter
  readonly hints: Pick<DeviceHints, 'note'>
  readonly figures: Pick<WorkerFigures, 'chunkApplied' | 'deadLetter' | 'deadLettersSent'>
  readonly telemetry: WorkerTelemetry
  readonly now: () => number
}

/** So that a bad release cannot turn the whole topic into dead letters. */
const MAX_INTERNAL_ERRORS_IN_A_ROW = 50

/**
 * chunk → parse → coalesce → plan → write → dead letters → index and progress.
 *
 * The chunk is durable, and its last offset may be resolved, only when all of this is acknowledged. If a step fails,
 * the call rejects and the same chunk comes again: every step may be done twice.
 */
export function createChunkApplier(dependencies: ChunkApplierDependencies): ApplyChunk {
  const { deadLetters, figures, guard, hints, index, lag, now, settings, telemetry, topic, writer } =
    dependencies
  const deadLettersSent = new WeakSet<Chunk>()
  let internalErrors = 0

  return async function applyChunk(chunk) {
    const startedMs = now()
    lag.began(chunk)
    const before = await guard.beforeChunk(chunk)
    if (before.kind !== 'in_step') return before

    const plan = planChunk(chunk.records, {
      nowMs: startedMs,
      settings,
      internalErrorsInARow: internalErrors,
    })
    if (plan.mostInternalErrorsInARow >= MAX_INTERNAL_ERRORS_IN_A_ROW) {
      throw internalErrorsInARow(plan.mostInternalErrorsInARow)
    }
    const writeStartedMs = now()
    const outcome = await writer.write(plan)
    const writeMs = now() - writeStartedMs
    const settled = settle(plan, outcome)
    await sendDeadLetters(chunk, settled)
    const [after] = await Promise.all([
      guard.afterChunk(chunk),
      index.add(settled.indexed),
      index.removeAbsent(settled.unindexed),
    ])
    if (after.kind !== 'in_step') return after

    internalErrors = plan.internalErrorsInARow
    lag.durable(chunk)
    hints.note(plan, outcome)
    figures.chunkApplied(settled.counts)
    telemetry.chunkApplied({
      partition: chunk.partition,
      firstOffset: chunk.records[0]?.offset ?? '',
      lastOffset: chunk.records.at(-1)?.offset ?? '',
      records: chunk.records.length,
      counts: settled.counts,
      clockSkews: plan.clockSkews,
      recordTimesMs: plan.recordTimesMs,
      writeMs,
      totalMs: now() - startedMs,
    })
    return { kind: 'durable' }
  }

  async function sendDeadLetters(chunk: Chunk, { rejections }: Settled): Promise<void> {
    // A later step may have failed: then the handler tries the same chunk again.
    if (rejections.length === 0 || deadLettersSent.has(chunk)) return
    const origin = { topic, partition: chunk.partition }
    const unsent = rejections.flatMap((rejection) => {
      const record = chunk.records[rejection.index]
      if (record === undefined) return []
      const { detail, reason } = rejection
      const deadLetter = { ...origin, offset: record.offset, reason, detail }
      telemetry.deadLetter(deadLetter)
      figures.deadLetter(deadLetter)
      return [buildDeadLetter(record, origin, rejection, now(), dependencies.serviceVersion)]
    })
    await deadLetters.send(unsent, origin)
    deadLettersSent.add(chunk)
    telemetry.deadLettersSent(rejections.map(({ reason }) => reason))
    figures.deadLettersSent(rejections.length)
  }
}

import type { UndecodableBatch } from '../records/chunk.ts'
import { buildDeadLetter, type DeadLetter, type Origin } from './dead-letter.ts'

/**
 * The dead letters for a record batch that could not be decoded: one per record that its header declares, since each
 * offset has to be accounted for. The first one carries the bytes of the batch.
 *
 * Offsets are counted from the first one, which is wrong where compaction has removed records from the batch.
 */
export function* buildUndecodableDeadLetters(
  batch: UndecodableBatch,
  origin: Origin,
  nowMs: number,
  serviceVersion: string,
): Generator<DeadLetter> {
  const { bytes, detail, firstOffset, records } = batch
  const where = `record batch from offset ${firstOffset}, whose bytes are in the dead letter of that offset`
  for (let i = 0; i < records; i++) {
    const record = {
      offset: firstOffset + i,
      timestampMs: -1,
      key: null,
      value: i === 0 ? bytes : null,
    }
    const rejection = { index: 0, reason: 'undecodable', detail: `${detail} (${where})` } as const
    yield buildDeadLetter(record, origin, rejection, nowMs, serviceVersion)
  }
}

import { parseRecord, type ParseSettings } from '../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../cache-service/core/records/source-record.ts'
import { literalOrder } from '../records/arbitrary-states.ts'
import type { ModelHash } from './redis-model.ts'

/**
 * The expected result of records without tombstones, computed in the simplest way: for each device the greatest update
 * and the latest expiry. No chunks, no plans, no intermediate state.
 */
export function greatestUpdates(
  records: readonly SourceRecord[],
  nowMs: number,
  settings: ParseSettings,
): Record<string, ModelHash> {
  const found: Record<string, ModelHash> = {}
  for (const record of records) {
    const parsed = parseRecord(record, nowMs, settings)
    if (parsed.kind !== 'update') continue
    const { deviceId, lastUpdated, fields, expiresAtMs } = parsed.update
    const before = found[deviceId]
    const isGreater = before === undefined || literalOrder(before, parsed.update) < 0
    const winner = isGreater ? { lastUpdated, fields } : before
    found[deviceId] = { ...winner, expiresAtMs: Math.max(before?.expiresAtMs ?? 0, expiresAtMs) }
  }
  return found
}

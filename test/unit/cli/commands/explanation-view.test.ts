import pc from 'picocolors'
import { describe, expect, it } from 'vitest'
import { renderExplanation } from '../../../../cache-service/cli/commands/explanation-view.ts'
import {
  explainChange,
  explainRecord,
  type StoredHash,
} from '../../../../cache-service/core/records/explain.ts'
import { NOW_MS, SETTINGS, sourceRecord, validatedOutput } from '../../../support/records/record-builder.ts'

/** What is printed for a record of 18:27:17 in which the name is `temperature`, where Redis holds another one of this time. */
function linesFor(lastUpdated: string): string[] {
  const stored = { last_updated: lastUpdated, datatype_name: 'humidity', site: 'hall 3' }
  const hash: StoredHash = { kind: 'hash', fields: new Map(Object.entries(stored)), expiresAtMs: NOW_MS }
  const explanation = explainRecord(sourceRecord(validatedOutput()), NOW_MS, SETTINGS)
  const change = explainChange(explanation, hash)
  const text = renderExplanation({ place: '1', explanation, stored: hash, change }, pc.createColors(false))
  return text.trimEnd().split('\n')
}

const outcomeOf = (lines: readonly string[]) => lines.findIndex((line) => line.startsWith('  outcome'))

describe('renderExplanation', () => {
  it('shows for a stale record that the fields stay as they are', () => {
    const lines = linesFor('2025-06-08T18:27:18.000000+00:00')
    expect(lines.slice(outcomeOf(lines))).toEqual([
      '  outcome      stale: Redis holds a newer record, or a greater one of the same time: only the expiry may be extended',
      '      last_updated = "2025-06-08T18:27:18.000000+00:00"',
      '      datatype_name = "humidity"',
      '      site = "hall 3"',
    ])
  })

  it('shows for a newer record what would change', () => {
    const lines = linesFor('2025-06-08T18:27:16.000000+00:00')
    expect(lines.slice(outcomeOf(lines))).toEqual([
      '  outcome      changed: it would be stored',
      '    ~ last_updated = "2025-06-08T18:27:17.476623+00:00", was "2025-06-08T18:27:16.000000+00:00"',
      '    + datatype_id = "7"',
      '    ~ datatype_name = "temperature", was "humidity"',
      '    + datatype_unit = "°C"',
      '    + persist = "true"',
      '    - site = "hall 3"',
    ])
  })
})

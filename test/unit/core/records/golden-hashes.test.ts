import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { planChunk } from '../../../../cache-service/core/records/plan.ts'
import type { ParseSettings } from '../../../../cache-service/core/records/parse-record.ts'
import { SETTINGS, sourceRecord } from '../../../support/records/record-builder.ts'
import { repository } from '../../../support/repository.ts'

// Records written by the real normalizer, and the hash that each must produce. The golden file was checked against
// the README; any change of it changes what every reader of Redis sees.

const fixtures = join(repository, 'test', 'fixtures')
const lines = readFileSync(join(fixtures, 'validated-output.jsonl'), 'utf8').trimEnd().split('\n')
const NOW_MS = Date.parse('2025-06-08T18:28:30Z')

const hash = z.record(z.string(), z.string())
const golden = z
  .array(
    z.union([
      z.strictObject({ skipped: z.literal('no_metadata') }),
      z.strictObject({ device_id: z.string(), hash, hash_with_all_fields: hash.optional() }),
    ]),
  )
  .parse(JSON.parse(readFileSync(join(fixtures, 'golden-hashes.json'), 'utf8')))

function planned(line: string, extraFields: ParseSettings['extraFields']) {
  const plan = planChunk([sourceRecord(line, { timestampMs: NOW_MS })], {
    nowMs: NOW_MS,
    settings: { ...SETTINGS, extraFields },
    internalErrorsInARow: 0,
  })
  expect(plan.rejections).toEqual([])
  expect(plan.clockSkews).toBe(0)
  const [write] = plan.updates
  if (write === undefined) return { deviceId: undefined, hash: {} }
  const { deviceId, lastUpdated, fields } = write
  const pairs: [string, string][] = []
  for (let i = 0; i < fields.length; i += 2) pairs.push([fields[i] ?? '', fields[i + 1] ?? ''])
  return { deviceId, hash: Object.fromEntries([['last_updated', lastUpdated], ...pairs]) }
}

test('every line has a golden hash', () => {
  expect(golden).toHaveLength(lines.length)
  expect(lines.length).toBeGreaterThan(40)
})

test.each(lines.map((line, i) => ({ number: i + 1, line, expected: golden[i] })))(
  'line $number produces exactly its golden hash',
  ({ line, expected }) => {
    if (expected === undefined || 'skipped' in expected) {
      expect(planned(line, 'all').deviceId).toBeUndefined()
      return
    }
    const usual = planned(line, [])
    const full = planned(line, 'all')
    expect(usual.deviceId).toBe(expected.device_id)
    // Compared as text, because the order of the fields matters, too.
    expect(JSON.stringify(usual.hash)).toBe(JSON.stringify(expected.hash))
    expect(JSON.stringify(full.hash)).toBe(JSON.stringify(expected.hash_with_all_fields ?? expected.hash))
  },
)

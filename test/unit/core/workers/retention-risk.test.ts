import { describe, expect, test } from 'vitest'
import { retentionOf, secondsUntilDeleted } from '../../../../cache-service/core/workers/retention-risk.ts'

const NOW_MS = Date.UTC(2026, 0, 5)
const DAY_MS = 86_400_000

describe('the retention of a topic', () => {
  test.each([
    [
      'by time',
      { 'cleanup.policy': 'delete', 'retention.ms': '604800000', 'retention.bytes': '-1' },
      7 * DAY_MS,
    ],
    [
      'without a limit',
      { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' },
      undefined,
    ],
    ['of a compacted topic', { 'cleanup.policy': 'compact', 'retention.ms': '1000' }, undefined],
    [
      'of a compacted topic that also deletes',
      { 'cleanup.policy': 'compact,delete', 'retention.ms': '1000' },
      1000,
    ],
    ['that may not be read', {}, undefined],
  ])('%s', (_, settings, ms) => {
    expect(retentionOf(new Map(Object.entries(settings))).ms).toBe(ms)
  })
})

describe('the time until Kafka may delete the first unread record', () => {
  const byTime = { ms: DAY_MS, bytes: undefined }
  const bySize = { ms: undefined, bytes: 1_000_000 }
  const at = (committed: number | undefined, earliest: number, end: number) => ({ committed, earliest, end })
  const unread = (position: ReturnType<typeof at>, ageMs: number | undefined, writtenPerSecond = 0) => ({
    position,
    firstRecordMs: ageMs === undefined ? undefined : NOW_MS - ageMs,
    writtenPerSecond,
  })

  test.each([
    ['is what is left of the retention', unread(at(5, 0, 10), 3_600_000), byTime, 82_800],
    ['is 0 once the retention is over', unread(at(5, 0, 10), 2 * DAY_MS), byTime, 0],
    ['is unknown without a record time', unread(at(5, 0, 10), undefined), byTime, undefined],
    ['is none if nothing is unread', unread(at(10, 0, 10), 2 * DAY_MS), byTime, undefined],
    [
      'is none if the topic keeps everything',
      unread(at(5, 0, 10), DAY_MS),
      { ms: undefined, bytes: undefined },
      undefined,
    ],
    [
      'follows what is written, for a topic that has reached its size',
      unread(at(1_500, 1_000, 9_000), 1, 10),
      bySize,
      50,
    ],
    [
      'is unknown for a topic that has not reached its size',
      unread(at(500, 0, 9_000), 1, 10),
      bySize,
      undefined,
    ],
    ['is unknown by size while nothing is written', unread(at(1_500, 1_000, 9_000), 1, 0), bySize, undefined],
    ['is 0 for a group that is behind what Kafka still has', unread(at(500, 1_000, 9_000), 1, 10), bySize, 0],
    ['is the shorter of both', unread(at(1_500, 1_000, 9_000), 3_600_000, 10), { ms: DAY_MS, bytes: 1 }, 50],
  ])('%s', (_, records, retention, seconds) => {
    expect(secondsUntilDeleted(records, retention, NOW_MS)).toBe(seconds)
  })
})

import { expect, test } from 'vitest'
import { deadLetterLifetimeMs } from '../../../../cache-service/core/dead-letters/lifetime.ts'

const DAY_MS = 86_400_000

test.each([
  [
    'the oldest dead letter of a segment outlives the retention',
    { 'retention.ms': '3600000', 'segment.ms': '7200000' },
    10_800_000 + DAY_MS,
  ],
  ['a topic without settings has those that Kafka gives it', {}, 15 * DAY_MS],
  ['what is kept for ever is never forgotten', { 'retention.ms': '-1' }, undefined],
  ['nor is what is compacted', { 'cleanup.policy': 'compact', 'retention.ms': '1' }, undefined],
  [
    'compacted and deleted is deleted',
    { 'cleanup.policy': 'compact,delete', 'retention.ms': '0', 'segment.ms': '0' },
    DAY_MS,
  ],
])('%s', (_, settings, lifetimeMs) => {
  expect(deadLetterLifetimeMs(new Map(Object.entries(settings)))).toBe(lifetimeMs)
})

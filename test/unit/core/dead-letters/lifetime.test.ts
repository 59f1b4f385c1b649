import { expect, test } from 'vitest'
import { deadLetterLifetimeMs } from '../../../../cache-service/core/dead-letters/lifetime.ts'

const DAY_MS = 86_400_000

test.each([
  [
    'is the retention plus the time span of a segment',
    { 'retention.ms': '3600000', 'segment.ms': '7200000' },
    10_800_000 + DAY_MS,
  ],
  ["uses Kafka's defaults for missing settings", {}, 15 * DAY_MS],
  ['is unlimited without a retention', { 'retention.ms': '-1' }, undefined],
  ['is unlimited in a compacted topic', { 'cleanup.policy': 'compact', 'retention.ms': '1' }, undefined],
  [
    'is limited in a topic that is both compacted and deleted',
    { 'cleanup.policy': 'compact,delete', 'retention.ms': '0', 'segment.ms': '0' },
    DAY_MS,
  ],
])('the lifetime of a dead letter %s', (_, settings, lifetimeMs) => {
  expect(deadLetterLifetimeMs(new Map(Object.entries(settings)))).toBe(lifetimeMs)
})

import { expect, test } from 'vitest'
import * as keys from '../../../../shared/contract/keys.ts'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'

test.each([
  [
    'of events',
    [
      keys.UPDATE_TYPES_KEY,
      keys.UPDATE_STREAM_KEY,
      keys.DEVICE_STREAM_KEY,
      keys.UPDATER_LEASE_KEY,
      keys.UPDATER_GAPS_KEY,
    ],
  ],
  ['of worker reports', [keys.WORKERS_KEY, keys.workerReportKey('a'), keys.workerReportKey('{b}')]],
  ['of lag reports', [keys.LAG_GROUPS_KEY, keys.lagReportKey('a'), keys.lagReportKey('{b}')]],
])('the keys %s, which one command or script uses together, share a slot', (_, some) => {
  expect(new Set(some.map(keySlot)).size).toBe(1)
})

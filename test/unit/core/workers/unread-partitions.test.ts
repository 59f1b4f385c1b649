import { describe, expect, test } from 'vitest'
import {
  describeUnread,
  followStandstills,
  type UnreadCandidate,
} from '../../../../cache-service/core/workers/unread-partitions.ts'

const candidate = (more: Partial<UnreadCandidate> = {}): UnreadCandidate => ({
  partition: 0,
  position: 10,
  records: 5,
  reason: 'no_owner',
  owner: undefined,
  ...more,
})

/** Observes the candidates at each of the times, in seconds; returns the partitions that are unread at the last one. */
function unreadAfter(...observations: readonly [atS: number, ...candidates: UnreadCandidate[]][]) {
  let followed: ReturnType<typeof followStandstills> = { standstills: new Map(), unread: [] }
  for (const [atS, ...candidates] of observations)
    followed = followStandstills(followed.standstills, candidates, atS * 1_000)
  return followed.unread.map(({ partition }) => partition)
}

describe('a partition without a worker', () => {
  test('is unread when its position has stayed the same for longer than a rebalance takes', () => {
    expect(unreadAfter([0, candidate()], [14, candidate()])).toEqual([])
    expect(unreadAfter([0, candidate()], [14, candidate()], [15, candidate()])).toEqual([0])
  })

  test('is not unread while its position moves, or if it was read in between', () => {
    expect(
      unreadAfter([0, candidate()], [14, candidate({ position: 11 })], [20, candidate({ position: 11 })]),
    ).toEqual([])
    expect(unreadAfter([0, candidate()], [10], [20, candidate()])).toEqual([])
  })

  test('is unread for as long, also if another program owned it meanwhile', () => {
    const owned = candidate({ reason: 'other_member', owner: 'app at h' })
    expect(unreadAfter([0, candidate()], [10, owned], [16, candidate()])).toEqual([0])
  })
})

test('a partition that a worker fetches gets more time', () => {
  const stuck = candidate({ reason: 'stuck' })
  expect(unreadAfter([0, stuck], [29, stuck])).toEqual([])
  expect(unreadAfter([0, stuck], [30, stuck])).toEqual([0])
})

test('unread partitions are described together by reason and owner', () => {
  const unread = [
    candidate({ partition: 2 }),
    candidate({ partition: 1, records: 1 }),
    candidate({ partition: 3, reason: 'other_member', owner: 'app at h' }),
    candidate({ partition: 4, records: 1, reason: 'stuck' }),
    candidate({ partition: 5, records: 0, reason: 'no_leader' }),
  ]
  expect(describeUnread(unread)).toEqual([
    'unread: partition 1, 2 (6 records) has no owner in the consumer group',
    'unread: partition 3 (5 records) belongs to app at h, and its records do not reach this Redis',
    "unread: partition 4 (1 record) is being fetched but makes no progress. Possible causes: an open transaction, or a batch that can't be read",
    'unread: partition 5 has no leader: Kafka has no broker in service that holds it',
  ])
})

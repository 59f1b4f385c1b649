import { describe, expect, test } from 'vitest'
import {
  describeMembers,
  foreignMembers,
  type GroupMember,
} from '../../../../cache-service/core/workers/consumer-group.ts'

const member = (more: Partial<GroupMember>): GroupMember => ({
  clientId: 'cache_service',
  host: '10.0.0.7',
  topics: ['t'],
  partitions: new Map(),
  kind: 'worker',
  ...more,
})
const group = (...members: readonly GroupMember[]) => ({ state: 'Stable', isSettled: true, members })

describe('a member of the consumer group', () => {
  test.each([
    ['a worker of the topic', {}],
    ['a worker with another client id', { clientId: 'site-b' }],
    ['a member of the topic that does not say what it is', { kind: 'unidentified' }],
    ['a member whose topics are not known', { kind: 'unidentified', topics: undefined }],
  ] as const)('is accused of nothing if it is %s', (_what, more) => {
    expect(foreignMembers(group(member(more)), 't')).toEqual([])
  })

  test.each([
    ['a worker of another topic', { topics: ['u'] }, 'other_topic'],
    ['a member of further topics', { kind: 'unidentified', topics: ['t', 'u'] }, 'other_topic'],
    ['a member without topics', { kind: 'unidentified', topics: [] }, 'other_topic'],
    ['another program on the same topic', { kind: 'other_program' }, 'other_program'],
    ['another program on unknown topics', { kind: 'other_program', topics: undefined }, 'other_program'],
  ] as const)('is foreign if it is %s', (_what, more, kind) => {
    expect(foreignMembers(group(member({}), member(more)), 't')).toMatchObject([{ kind }])
  })

  test('is named with its client id, host and topics, once, and up to five are', () => {
    const many = Array.from({ length: 7 }, (_, i) => member({ clientId: `w${i}`, topics: ['u', 'v'] }))
    const foreign = foreignMembers(group(member({ kind: 'other_program' }), ...many, ...many), 't')
    expect(describeMembers(foreign)).toBe(
      'cache_service at 10.0.0.7, another program, which reads t; w0 at 10.0.0.7, which reads u, v; w1 at 10.0.0.7, which reads u, v; ' +
        'w2 at 10.0.0.7, which reads u, v; w3 at 10.0.0.7, which reads u, v; and 3 more',
    )
  })
})

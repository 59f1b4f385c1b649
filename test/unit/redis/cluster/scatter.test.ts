import { expect, test } from 'vitest'
import { isElsewhere } from '../../../../cache-service/redis/cluster/scatter.ts'

test.each([
  [
    'Redis 7',
    'ERR Script attempted to access a non local key in a cluster node script: 1f2, on @user_script:1.',
  ],
  ['Valkey 9', 'ERR Attempted to access a non local key in a cluster node'],
])('what %s replies to a script for a key of another node is recognised', (_, reply) => {
  expect(isElsewhere(reply)).toBe(true)
})

test.each(['WRONGTYPE Operation against a key', 'ERR', 1, null, undefined])(
  '%j is another reply',
  (reply) => {
    expect(isElsewhere(reply)).toBe(false)
  },
)

import { expect, onTestFinished, test } from 'vitest'
import { ConnectionWatch } from '../../../../cache-service/redis/connections-of.ts'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'
import { patiently } from '../../../support/eventually.ts'
import { connectToCluster } from '../../../support/servers/redis-connection.ts'
import { startRedisCluster } from '../../../support/servers/redis-cluster.ts'

const KEY = 'watched'

test('a watch notices another connection to the owner of its key, and another owner, but nothing of other masters', async () => {
  const servers = await startRedisCluster({ masters: 2 })
  onTestFinished(() => servers.stop())
  const { redis } = await connectToCluster(servers)
  const owner = await servers.ownerOf(KEY)
  const other = (await servers.masters()).find((master) => master !== owner) ?? owner
  await redis.set(KEY, '')

  const watch = new ConnectionWatch(redis, KEY)
  expect([watch.wasReplaced(), watch.wasReplaced()]).toEqual([false, false])
  await other.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await Promise.all(['a', 'b', 'c'].map((key) => patiently(() => redis.set(key, ''))))
  expect(watch.wasReplaced()).toBe(false)

  await owner.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await patiently(() => redis.set(KEY, ''))
  expect([watch.wasReplaced(), watch.wasReplaced()]).toEqual([true, false])

  const slot = keySlot(KEY)
  await servers.moveSlots(owner, other, [{ from: slot, to: slot }])
  await patiently(async () => {
    await redis.set(KEY, '')
    expect(watch.wasReplaced()).toBe(true)
  })
  expect(watch.wasReplaced()).toBe(false)
})

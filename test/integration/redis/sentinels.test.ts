import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { PRIMARY_NAME, startOwnSentinels } from '../../support/servers/own-sentinels.ts'
import { connectAsService, redisConfigOf } from '../../support/servers/redis-connection.ts'

test('a connection is opened even if the Sentinels announce a primary while they are being asked for it', async () => {
  const sentinels = await startOwnSentinels({ servers: 1 })
  onTestFinished(() => sentinels.stop())
  const location = {
    kind: 'sentinels',
    sentinels: sentinels.nodes,
    name: PRIMARY_NAME,
    username: undefined,
    password: undefined,
    tls: undefined,
  } as const
  const { redis, said } = connectAsService(redisConfigOf(await sentinels.primary(), { location }))
  // What ioredis does at an announcement.
  const interrupt = () => void setImmediate(() => redis.disconnect(true))
  interrupt()
  redis.once('reconnecting', () => redis.once('connecting', interrupt))
  await eventually(() => expect(said.some((text) => text.startsWith('connected'))).toBe(true))
  expect(await redis.ping()).toBe('PONG')
  redis.disconnect()
  await eventually(() => expect(redis.status).toBe('end'))
})

import { expect, test } from 'vitest'
import { redisReplies } from '../../../cache-service/redis/reply.ts'

test('replies to several commands are given up only when none is under way any more', async () => {
  const slow = Promise.withResolvers<string>()
  const happened: string[] = []
  const failed = redisReplies([
    Promise.reject(new Error('CLUSTERDOWN The cluster is down')),
    slow.promise.then((reply) => happened.push(reply)),
    Promise.reject(new Error('LOADING Redis is loading')),
  ]).catch((error: unknown) => {
    happened.push('given up')
    throw error
  })
  failed.catch(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  expect(happened).toEqual([])
  slow.resolve('executed')
  await expect(failed).rejects.toMatchObject({ side: 'redis', code: 'CLUSTERDOWN' })
  expect(happened).toEqual(['executed', 'given up'])
  expect(await redisReplies([Promise.resolve(1), Promise.resolve(2)])).toEqual([1, 2])
})

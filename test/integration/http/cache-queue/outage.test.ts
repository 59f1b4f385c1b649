import { expect, onTestFinished, test } from 'vitest'
import { createConnection, startConnecting } from '../../../../cache-service/redis/client.ts'
import { eventually } from '../../../support/eventually.ts'
import { openCacheQueueServer } from '../../../support/processes/cache-queue-server.ts'
import { redisConfigOf } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedisOptions } from '../../../support/servers/servers.ts'

async function openService(options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  const config = redisConfigOf(server, { timeoutMs: 500 })
  const silent = { redisConnected: () => undefined, redisFailed: () => undefined }
  const redis = createConnection(config, 'test', silent, () => 0)
  onTestFinished(() => redis.disconnect())
  await startConnecting(redis)
  const service = await openCacheQueueServer(redis)
  onTestFinished(() => service.close())
  return { server, service }
}

test('without Redis the cache-queue service answers 503 immediately, and recovers with Redis', async () => {
  const { server, service } = await openService()
  expect(await service.get('/health')).toMatchObject({ status: 200 })
  await server.kill('SIGKILL')

  await eventually(async () => {
    expect(await service.get('/health')).toMatchObject({
      status: 503,
      body: { service: 'redis_service', status: 'unhealthy', port: 5011, redis: 'disconnected' },
    })
  })
  const requests: [string, string, unknown?][] = [
    ['GET', '/stats'],
    ['GET', '/api/cache/k'],
    ['GET', '/api/cache/exists/k'],
    ['GET', '/api/cache/keys'],
    ['POST', '/api/cache/', { key: 'k', value: 1 }],
    ['DELETE', '/api/cache/k'],
    ['DELETE', '/api/cache/pattern/*'],
    ['POST', '/api/cache/flush', { confirm: true }],
    ['POST', '/api/queue/publish', { message: 1 }],
    ['GET', '/api/queue/channels'],
    ['GET', '/api/queue/subscribers/c'],
  ]
  for (const [method, path, body] of requests) {
    const answer = await service.send(method, path, body)
    expect({ path, status: answer.status, body: answer.body }).toEqual({
      path,
      status: 503,
      body: { error: 'Redis no disponible' },
    })
  }

  await server.restart()
  await eventually(async () => expect(await service.get('/health')).toMatchObject({ status: 200 }))
  expect(await service.get('/api/cache/k')).toMatchObject({ status: 404 })
})

test('the cache-queue service reports a Redis that hangs as unhealthy, and times out', async () => {
  const { server, service } = await openService()
  const { pid } = server
  if (pid === undefined) throw new Error('the server has no process')
  process.kill(pid, 'SIGSTOP')
  try {
    expect(await service.get('/health')).toMatchObject({ status: 503, body: { redis: 'disconnected' } })
    expect(await service.get('/api/cache/k')).toMatchObject({ status: 503 })
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await eventually(async () => expect(await service.get('/health')).toMatchObject({ status: 200 }))
})

test('the cache-queue service refuses to store values when Redis is out of memory, but still reads', async () => {
  const { service } = await openService({ args: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'] })
  expect(await service.send('POST', '/api/cache/', { key: 'k', value: 1 })).toMatchObject({
    status: 503,
    body: { error: 'Redis no tiene memoria libre' },
  })
  expect(await service.get('/api/cache/k')).toMatchObject({ status: 404 })
})

import { expect, onTestFinished, test } from 'vitest'
import { DeviceCache } from '../../../../cache-service/core/devices/device-cache.ts'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import { ReadTracking } from '../../../../cache-service/redis/devices/read-tracking.ts'
import type { DeviceId } from '../../../../shared/contract/device-id.ts'
import { eventually, patiently } from '../../../support/eventually.ts'
import { connectAsService, connectPlainly, redisConfigOf } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedis } from '../../../support/servers/servers.ts'

async function ownRedis(): Promise<OwnRedis> {
  const server = await startOwnRedis()
  onTestFinished(() => server.stop())
  return server
}

async function connect(server: OwnRedis) {
  const { connecting, redis } = connectAsService(redisConfigOf(server))
  await connecting
  return redis
}

async function track(server: OwnRedis, invalidationsOf: OwnRedis) {
  const monotonicNow = () => performance.now()
  const cache = new DeviceCache(1000)
  const said: string[] = []
  const tracking = new ReadTracking({
    reading: await connect(server),
    invalidations: await connect(invalidationsOf),
    writing: await connect(server),
    cache,
    processId: 'a-test',
    telemetry: {
      trackingReads: (isTracking) => void said.push(isTracking ? 'on' : 'off'),
      trackingRefused: ({ code }) => void said.push(code),
    },
    monitor: new LoopMonitor(monotonicNow),
    monotonicNow,
  })
  const stop = new AbortController()
  const running = tracking.service().run(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
  })
  return { tracking, cache, said }
}

test('tracks where changes arrive, and stops when they no longer do', async () => {
  const server = await ownRedis()
  const redis = connectPlainly(server)
  const { cache, said, tracking } = await track(server, server)
  await eventually(() => expect(tracking.isOn).toBe(true))
  const id = 'a' as DeviceId
  cache.finish(cache.begin([id], 0), () => '{"device_id":"a","ttl":null}')
  // Another connection takes the place of the one that receives the changes: Redis still accepts everything.
  const list = String(await redis.client('LIST'))
  const reading = [...list.matchAll(/^id=(\d+) .* redir=(\d+) /gm)].find(([, , to]) => Number(to) > 0)
  expect(reading).toBeDefined()
  await redis.client('KILL', 'ID', String(reading?.[2]))
  await patiently(() => expect(said).toContain('off'))
  expect(cache.size).toBe(0)
  await patiently(() => expect(tracking.isOn).toBe(true))
})

test('does not believe a Redis that accepts the commands but reports no changes', async () => {
  const server = await ownRedis()
  const other = await ownRedis()
  const redis = connectPlainly(server)
  // So that the id of the connection to the other server is one of a connection to this server as well.
  const others = Array.from({ length: 20 }, () => connectPlainly(server))
  await Promise.all(others.map((one) => one.ping()))
  const { said, tracking } = await track(server, other)
  await patiently(async () => expect(String(await redis.client('LIST'))).toMatch(/ redir=[1-9]/))
  const key = 'cache_service:tracking:a-test'
  await patiently(async () => expect(await redis.exists(key)).toBe(1))
  await new Promise((resolve) => setImmediate(resolve))
  expect(tracking.isOn).toBe(false)
  expect(said).toEqual([])
})

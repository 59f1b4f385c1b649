import { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import type { RedisConfig } from '../../../cache-service/config/config.ts'
import { createRedis, startConnecting } from '../../../cache-service/redis/client.ts'
import type { OwnRedis, RedisServer } from './servers.ts'

/** What a connection of the service said, in words. */
export type Said = string[]

export function redisConfigOf(
  server: Pick<RedisServer, 'host' | 'port' | 'password'>,
  overrides: Partial<RedisConfig> = {},
): RedisConfig {
  return {
    host: server.host,
    port: server.port,
    db: 0,
    username: undefined,
    password: server.password,
    tls: undefined,
    timeoutMs: 1_000,
    scriptMaxKeys: 1_000,
    scriptMaxBytes: 1_000_000,
    ...overrides,
  }
}

/** The service's own connection; it is closed when the test ends. It may not be ready yet, or ever. */
export function connectAsService(config: RedisConfig): {
  redis: Redis
  said: Said
  connecting: Promise<void>
} {
  const said: Said = []
  const events = {
    redisConnected: (where: string) => void said.push(`connected ${where}`),
    redisFailed: ({ code }: { code: string }) => void said.push(`failed ${code}`),
  }
  const redis = createRedis(config, 'a-test', events, () => 0.5)
  onTestFinished(() => redis.disconnect())
  return { redis, said, connecting: startConnecting(redis) }
}

/** A plain connection, to look and to meddle; it is closed when the test ends. */
export function connectPlainly(server: Pick<OwnRedis, 'url' | 'tls'>): Redis {
  const redis = new Redis(server.url, {
    enableReadyCheck: false,
    retryStrategy: () => 50,
    ...(server.tls !== undefined && { tls: { ca: server.tls.ca } }),
  })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  return redis
}

export type StoredHash = { readonly fields: Readonly<Record<string, string>>; readonly expiresAtMs: number }

/** Undefined if there is none; expiresAtMs -1: it never expires. */
export async function readHash(redis: Redis, key: string): Promise<StoredHash | undefined> {
  const [fields, expiresAtMs] = await Promise.all([redis.hgetall(key), redis.pexpiretime(key)])
  return expiresAtMs === -2 ? undefined : { fields, expiresAtMs }
}

/** Everything in the database that is a hash or a set, in an order of its own. */
export async function readEverything(redis: Redis): Promise<Record<string, unknown>> {
  const keys = await redis.keys('*')
  const found: Record<string, unknown> = {}
  for (const key of keys.sort()) {
    const type = await redis.type(key)
    if (type === 'hash') found[key] = await readHash(redis, key)
    else if (type === 'set') found[key] = (await redis.smembers(key)).sort()
    else found[key] = type
  }
  return found
}

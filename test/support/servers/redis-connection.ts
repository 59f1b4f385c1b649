import { Redis, type Cluster } from 'ioredis'
import { onTestFinished } from 'vitest'
import type { RedisConfig } from '../../../cache-service/config/config.ts'
import { createConnection, createRedis, startConnecting } from '../../../cache-service/redis/client.ts'
import { isCluster } from '../../../cache-service/redis/redis-client.ts'
import { parseServerAddresses, type NatMap } from '../../../shared/server-address.ts'
import type { RedisCluster } from './redis-cluster.ts'
import type { OwnRedis, RedisServer } from './servers.ts'

/** What the service's connection reported, as text. */
export type Said = string[]

export function redisConfigOf(
  server: Pick<RedisServer, 'host' | 'port' | 'password'>,
  overrides: Partial<RedisConfig> = {},
): RedisConfig {
  return {
    location: { kind: 'address', host: server.host, port: server.port },
    db: 0,
    username: undefined,
    password: server.password,
    tls: undefined,
    timeoutMs: 1_000,
    waitReplicas: 0,
    scriptMaxKeys: 1_000,
    scriptMaxBytes: 1_000_000,
    ...overrides,
  }
}

/** Opens the service's own kind of connection, and closes it when the test ends. It need not become ready. */
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
  const redis = createConnection(config, 'a-test', events, () => 0.5)
  onTestFinished(() => redis.disconnect())
  return { redis, said, connecting: startConnecting(redis) }
}

/** Opens the service's own kind of client of a Cluster, and closes it when the test ends. Resolves when it is connected. */
export async function connectToCluster(
  { seeds }: Pick<RedisCluster, 'seeds'>,
  overrides: Partial<RedisConfig> = {},
  natMap?: NatMap,
): Promise<{ redis: Cluster; said: Said }> {
  const said: Said = []
  const events = {
    redisConnected: (where: string) => void said.push(`connected ${where}`),
    redisFailed: ({ code }: { code: string }) => void said.push(`failed ${code}`),
    nodeFailed: (node: string) => void said.push(`failed ${node}`),
    nodeRecovered: (node: string, how: string) => void said.push(`${how} ${node}`),
  }
  const addresses = parseServerAddresses(seeds, 6379)
  const location = {
    kind: 'cluster',
    nodes: 'problem' in addresses ? [] : addresses,
    natMap,
  } as const
  const config = redisConfigOf({ host: '', port: 0, password: undefined }, { location, ...overrides })
  const redis = createRedis(config, 'a-test', events, () => 0.5)
  if (!isCluster(redis)) throw new Error('not a client of a Cluster')
  onTestFinished(() => redis.disconnect())
  await startConnecting(redis)
  return { redis, said }
}

/** Opens a plain connection, for inspection and interference, and closes it when the test ends. */
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

/** Returns undefined if the hash does not exist; expiresAtMs is -1 if it never expires. */
export async function readHash(redis: Redis, key: string): Promise<StoredHash | undefined> {
  const [fields, expiresAtMs] = await Promise.all([redis.hgetall(key), redis.pexpiretime(key)])
  return expiresAtMs === -2 ? undefined : { fields, expiresAtMs }
}

/** All hashes and sets in the database, sorted, and the types of all other keys. */
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

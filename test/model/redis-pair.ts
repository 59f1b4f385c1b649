import { Redis } from 'ioredis'
import { patiently } from '../support/eventually.ts'
import { startOwnRedis, type OwnRedis } from '../support/servers/servers.ts'
import { startNetworkProxy } from '../support/servers/network-proxy.ts'

/** A primary and its replica behind one address, as a service discovery offers them. */
export type RedisPair = {
  /** The address of the primary at the time; what is started and stopped is the pair. */
  readonly server: OwnRedis
  /** Stores what the primary holds, for its next start. */
  save(): Promise<void>
  /** Kills the primary: it comes back with what was saved last, or with nothing. */
  crashPrimary(): Promise<void>
  /** The replica does not follow any more: what it holds gets old. */
  detachReplica(): Promise<void>
  /** The replica becomes the primary, with what it holds. */
  failOver(): Promise<void>
  flushAll(): Promise<void>
  flushScripts(): Promise<void>
  breakConnections(): void
  stop(): Promise<void>
}

export async function startRedisPair(): Promise<RedisPair> {
  let [primary, replica] = await Promise.all([startOwnRedis(), startOwnRedis()])
  const proxy = await startNetworkProxy(primary)
  await command(replica, 'REPLICAOF', primary.host, String(primary.port))

  const pair: RedisPair = {
    server: { ...primary, url: `redis://${proxy.host}:${proxy.port}`, port: proxy.port },
    save: () => command(primary, 'SAVE'),
    async crashPrimary() {
      await primary.kill('SIGKILL')
      await primary.start()
    },
    detachReplica: () => command(replica, 'REPLICAOF', 'NO', 'ONE'),
    async failOver() {
      const [before, after] = [primary, replica]
      await command(after, 'REPLICAOF', 'NO', 'ONE')
      await command(before, 'REPLICAOF', after.host, String(after.port))
      primary = after
      replica = before
      proxy.target = after
      proxy.breakConnections()
    },
    flushAll: () => command(primary, 'FLUSHALL'),
    flushScripts: () => command(primary, 'SCRIPT', 'FLUSH'),
    breakConnections: () => proxy.breakConnections(),
    async stop() {
      await proxy.stop()
      await Promise.all([primary.stop(), replica.stop()])
    },
  }
  return pair
}

async function command({ url }: OwnRedis, name: string, ...args: readonly string[]): Promise<void> {
  const client = new Redis(url)
  client.on('error', () => undefined)
  try {
    // A replica that is being filled answers LOADING.
    await patiently(() => client.call(name, ...args))
  } finally {
    client.disconnect()
  }
}

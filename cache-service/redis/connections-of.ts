import { connectionToMaster } from '../../shared/redis-client/cluster-nodes.ts'
import { keySlot } from '../../shared/redis-client/key-slot.ts'
import { SlotTable } from './cluster/slots.ts'
import { isCluster, type RedisClient } from './redis-client.ts'

/**
 * Stand for the connections to the server, or to all masters. While they are the same ones, everything that was sent reached the
 * servers that would answer now: a failover to a replica that lacks some of it needs another connection.
 */
export function connectionsOf(redis: RedisClient): readonly unknown[] {
  const servers = isCluster(redis) ? redis.nodes('master') : [redis]
  return servers.map(({ stream }) => stream)
}

/**
 * Notices that the connection to the server of a key was replaced, or that another server has the key now. After a failover, that
 * server may lack the last things that the former one acknowledged.
 */
export class ConnectionWatch {
  readonly #redis: RedisClient
  readonly #key: string
  #last: unknown

  constructor(redis: RedisClient, key: string) {
    this.#redis = redis
    this.#key = key
  }

  /** Since the last call. A command that is sent after this call is covered by the next one. */
  wasReplaced(): boolean {
    const current = this.#connection()
    // While there is none, nothing is acknowledged.
    if (current === undefined) return false
    const wasReplaced = this.#last !== undefined && this.#last !== current
    this.#last = current
    return wasReplaced
  }

  #connection(): unknown {
    const redis = this.#redis
    if (!isCluster(redis)) return redis.stream
    const owner = SlotTable.of(redis).owners.knownOwnerOf(keySlot(this.#key))
    return owner === undefined ? undefined : connectionToMaster(redis, owner)?.stream
  }
}

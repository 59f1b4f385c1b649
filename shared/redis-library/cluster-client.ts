import { Cluster, type RedisOptions } from 'ioredis'
import { clearerFailure, redisError, type ServiceError } from '../errors.ts'
import { clusterOptions } from '../redis-client/cluster-options.ts'
import { onRefreshError } from '../redis-client/refresh-errors.ts'
import { countSilenceOnly } from '../redis-client/silence-timeout.ts'
import { createGreeting } from '../redis-greeting.ts'
import { serverAddressText } from '../server-address.ts'
import { nodeName } from '../redis-client/cluster-nodes.ts'
import { ClusterMasters } from './cluster-masters.ts'
import { redisFailure, type RedisServiceError } from './errors.ts'
import type { RedisClusterSettings } from './settings.ts'

export type ClusterClientOptions = {
  readonly settings: RedisClusterSettings
  /** Of the connections in CLIENT LIST. */
  readonly name: string
  readonly timeoutMs: number
  /** Of each connection to a node. */
  readonly node: Omit<RedisOptions, 'replyMapping'>
  readonly retryDelayMs: () => number
  readonly connected: () => void
  /** Called once for a node that fails, until it works again. */
  readonly problem: (problem: RedisServiceError) => void
}

/**
 * A client of a Redis Cluster, and why its nodes fail. A command is sent to one node, and again only where a node redirects it; it
 * is never repeated after a connection was lost, as for a single server, because it may have been executed.
 */
export class ClusterClient {
  readonly cluster: Cluster
  readonly #options: ClusterClientOptions
  /** `host:port` → why the node can't be used, until it works again. */
  readonly #failing = new Map<string, ServiceError>()

  constructor(options: ClusterClientOptions) {
    this.#options = options
    const { name, node, retryDelayMs, settings, timeoutMs } = options
    this.cluster = new Cluster(
      settings.clusterNodes.map((address) => ({ ...address })),
      {
        ...clusterOptions({ natMap: settings.natMap, timeoutMs, node, retryDelayMs }),
        // Only while a connection is being opened: RedisConnection sends nothing to a Cluster that is not ready.
        enableOfflineQueue: true,
        // ioredis would repeat a command whose connection was lost.
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        slotsRefreshTimeout: Math.min(timeoutMs, LONGEST_REFRESH_MS),
        slotsRefreshInterval: REFRESH_INTERVAL_MS,
      },
    )
    this.cluster.on('+node', (redis) => {
      countSilenceOnly(redis)
      redis.on('error', (error: Error) => this.#failed(nodeName(redis), error))
      onRefreshError(redis, (error) => this.#refreshFailed(nodeName(redis), error))
      const greet = createGreeting(name)
      redis.on('ready', async () => {
        const failure = await greet(redis)
        if (failure === undefined) this.#failing.delete(nodeName(redis))
        else this.#failed(nodeName(redis), failure)
      })
    })
    this.cluster.on('node error', (error: Error, address: string) => this.#refreshFailed(address, error))
    this.cluster.on('refresh', () => this.#forget())
    this.cluster.on('error', () => undefined) // No node answers: each has had a "node error".
    this.cluster.on('ready', options.connected)
  }

  /** Resolves when the owners of the slots are known and one of them has answered a PING. */
  async connect(): Promise<void> {
    await this.cluster.connect()
    const masters = new ClusterMasters(this.cluster)
    masters.stop()
    const connections = [...masters.names].flatMap((name) => masters.connectionTo(name) ?? [])
    if (connections.length === 0)
      throw new Error('its nodes announce no slots: the Redis Cluster has not been created yet')
    try {
      await Promise.any(connections.map((redis) => redis.ping()))
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error
    }
  }

  /** For people: `the Redis Cluster of a:6379, b:6379`. */
  static nameOf({ clusterNodes }: RedisClusterSettings): string {
    return `the Redis Cluster of ${clusterNodes.map(serverAddressText).join(', ')}`
  }

  /** Says which nodes fail and why, if something thrown only says that there is no connection. */
  explain(thrown: unknown): unknown {
    if (redisError(thrown).code !== 'CONNECTION' && !NO_NODE.test(String(thrown))) return thrown
    const failures = [...this.#failing]
    const refusals = failures.filter(([, { failureClass }]) => failureClass === 'operator')
    const told = (refusals.length > 0 ? refusals : failures).map(([node, { message }]) => {
      return NOT_A_NODE.test(message)
        ? `${node} is not a node of a Redis Cluster: give its host and port (REDIS_HOST) instead of clusterNodes`
        : `${node}: ${message}`
    })
    return told.length === 0 ? thrown : new Error(told.join('; '), { cause: thrown })
  }

  /** A node whose connection works may be slow to answer a further one. */
  #refreshFailed(node: string, error: Error): void {
    const redis = this.cluster.nodes().find((one) => nodeName(one) === node)
    if (redis?.status !== 'ready') this.#failed(node, error)
  }

  /** No connection is opened to what is no master any more. */
  #forget(): void {
    const masters = new Set(this.cluster.nodes('master').map(nodeName))
    for (const node of this.#failing.keys()) if (!masters.has(node)) this.#failing.delete(node)
  }

  #failed(node: string, error: Error): void {
    const before = this.#failing.get(node)
    this.#failing.set(node, clearerFailure(before, redisError(error)))
    if (before !== undefined) return
    this.#options.problem(redisFailure(error, `Connection to the node ${node} of the Redis Cluster failed`))
  }
}

/** Redirections and commands that fail lead to a new table as well. */
const REFRESH_INTERVAL_MS = 5_000
/** How long one node is waited for, before another one is asked for the table. */
const LONGEST_REFRESH_MS = 1_000

const NO_NODE = /None of startup nodes is available|Failed to refresh slots cache|Cluster isn't ready/
const NOT_A_NODE = /cluster support disabled/i

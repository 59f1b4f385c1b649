import { Cluster, type RedisOptions } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { clusterOptions } from '../../../shared/redis-client/cluster-options.ts'
import { countSilenceOnly } from '../../../shared/redis-client/silence-timeout.ts'
import { createGreeting } from '../../../shared/redis-greeting.ts'
import type { RedisLocation } from '../../config/config.ts'
import type { RedisClientTelemetry } from '../redis-client.ts'
import { nodeName } from '../../../shared/redis-client/cluster-nodes.ts'
import { SlotTable } from './slots.ts'

/** What is the same wherever the server is. */
export type NodeOptions = Pick<
  RedisOptions,
  | 'username'
  | 'password'
  | 'tls'
  | 'protocol'
  | 'disableClientInfo'
  | 'connectTimeout'
  | 'socketTimeout'
  | 'maxRetriesPerRequest'
  | 'enableReadyCheck'
>

/** To connect, since it last succeeded. */
export type ConnectionAttempts = {
  /** The time to wait before the next one. */
  nextDelayMs(): number
  reset(): void
}

export type ClusterClientDependencies = {
  readonly location: Extract<RedisLocation, { kind: 'cluster' }>
  readonly timeoutMs: number
  /** Of each connection to a node. */
  readonly nodeOptions: NodeOptions
  /** See createRedis. */
  readonly name: string | undefined
  readonly attempts: ConnectionAttempts
  readonly telemetry: RedisClientTelemetry
}

/**
 * A client of all masters of a Redis Cluster. ioredis follows redirections and failovers, and opens and closes the connections
 * to the nodes. A node that fails is reported once, until it works again: the others go on.
 */
export function createClusterClient(dependencies: ClusterClientDependencies): Cluster {
  const { attempts, location, name, nodeOptions, telemetry, timeoutMs } = dependencies
  const cluster = new Cluster(
    location.nodes.map((node) => ({ ...node })),
    clusterOptions({
      natMap: location.natMap,
      timeoutMs,
      node: nodeOptions,
      retryDelayMs: attempts.nextDelayMs,
    }),
  )
  // It sees every table from the first.
  const table = SlotTable.of(cluster)
  const failing = new Set<string>()
  const recovered = (node: string, how: 'answers' | 'replaced') => {
    if (failing.delete(node)) telemetry.nodeRecovered?.(node, how)
  }
  cluster.on('+node', (node) => {
    countSilenceOnly(node)
    const greet = name === undefined ? undefined : createGreeting(name)
    node.on('ready', async () => {
      const failure = await greet?.(node)
      if (failure === undefined) recovered(nodeName(node), 'answers')
      else telemetry.redisFailed(failure)
    })
  })
  cluster.on('node error', (error: Error, node: string) => {
    // If no node answers, 'error' says so.
    if (failing.has(node) || cluster.status !== 'ready') return
    failing.add(node)
    telemetry.nodeFailed?.(node, redisError(error))
  })
  cluster.on('refresh', () => {
    const owners = table.owners.knownSlotsByMaster
    for (const node of failing) if (!owners.has(node)) recovered(node, 'replaced')
    // ioredis connects only when it has a command to send.
    for (const node of cluster.nodes('master'))
      if (failing.has(nodeName(node)) && node.status === 'wait') node.connect().catch(() => undefined)
  })
  cluster.on('error', (error) => telemetry.redisFailed(redisError(error)))
  cluster.on('ready', () => {
    attempts.reset()
    telemetry.redisConnected(clusterName(cluster))
  })
  return cluster
}

/** For people: `the Cluster of 10.0.0.1:6379, 10.0.0.2:6379, 10.0.0.3:6379`. */
export function clusterName(cluster: Cluster): string {
  return `the Cluster of ${cluster.nodes('master').map(nodeName).sort().join(', ')}`
}

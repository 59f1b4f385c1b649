import { Cluster, type RedisOptions } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { clusterOptions } from '../../../shared/redis-client/cluster-options.ts'
import { onRefreshError } from '../../../shared/redis-client/refresh-errors.ts'
import { countSilenceOnly } from '../../../shared/redis-client/silence-timeout.ts'
import { createGreeting } from '../../../shared/redis-greeting.ts'
import { serverAddressText } from '../../../shared/server-address.ts'
import type { RedisLocation } from '../../config/config.ts'
import type { RedisClientTelemetry } from '../redis-client.ts'
import { nodeName } from '../../../shared/redis-client/cluster-nodes.ts'
import { NodeFailures } from './node-failures.ts'
import { loginAccepted } from '../refused-settings.ts'
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
  configuredNodes.set(cluster, location.nodes.map(serverAddressText))
  /** Since one of them last answered. */
  const failures = new NodeFailures()
  const failing = new Set<string>()
  const recovered = (node: string, how: 'answers' | 'replaced') => {
    if (failing.delete(node)) telemetry.nodeRecovered?.(node, how)
  }
  cluster.on('+node', (node) => {
    countSilenceOnly(node)
    onRefreshError(node, (error) => failures.failed(nodeName(node), error))
    const greet = name === undefined ? undefined : createGreeting(name)
    node.on('ready', async () => {
      const failure = await greet?.(node)
      if (failure !== undefined) return telemetry.redisFailed(failure)
      if (greet !== undefined) loginAccepted(cluster)
      recovered(nodeName(node), 'answers')
    })
  })
  cluster.on('node error', (error: Error, node: string) => {
    failures.failed(node, error)
    // If no node answers, 'error' says so.
    if (failing.has(node) || cluster.status !== 'ready') return
    failing.add(node)
    telemetry.nodeFailed?.(node, failures.reasonOf(node) ?? redisError(error))
  })
  cluster.on('refresh', () => {
    failures.clear()
    const owners = table.owners.knownSlotsByMaster
    for (const node of failing) if (!owners.has(node)) recovered(node, 'replaced')
    // ioredis connects only when it has a command to send.
    for (const node of cluster.nodes('master'))
      if (failing.has(nodeName(node)) && node.status === 'wait') node.connect().catch(() => undefined)
  })
  cluster.on('error', (error: Error) => {
    const failure = failures.summary(error)
    failures.clear()
    // Later listeners find the reason there: the error itself only says that a connection was closed.
    Object.assign(error, { lastNodeError: failure })
    telemetry.redisFailed(failure)
  })
  cluster.on('ready', () => {
    attempts.reset()
    telemetry.redisConnected(clusterName(cluster))
  })
  return cluster
}

const configuredNodes = new WeakMap<Cluster, readonly string[]>()

/** For people: `the Cluster of 10.0.0.1:6379, 10.0.0.2:6379`: its masters, or the configured nodes while these are unknown. */
export function clusterName(cluster: Cluster): string {
  const masters = [...SlotTable.of(cluster).owners.knownSlotsByMaster.keys()].sort()
  const nodes = masters.length > 0 ? masters : (configuredNodes.get(cluster) ?? [])
  return `the Cluster of ${nodes.join(', ')}`
}

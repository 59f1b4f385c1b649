import type { ClusterOptions } from 'ioredis'
import type { NatMap } from '../server-address.ts'

/** How often the table of slots is read again, so that a failover is followed even if no node redirects us. */
const SLOTS_INTERVAL_MS = 1_000
/** Redirections and attempts of a command. One every tenth of a second outlasts a failover of about a second. */
const MAX_ATTEMPTS = 16

export type ClusterClientOptions<Node> = {
  readonly natMap: NatMap | undefined
  readonly timeoutMs: number
  /** Of each connection to a node. */
  readonly node: Node
  /** Called before each attempt to connect after all nodes were lost, for the milliseconds to wait. */
  readonly retryDelayMs: () => number
}

/**
 * Options of a client of a Redis Cluster. A command is answered or rejected within twice `timeoutMs`, redirections and waiting
 * for a failover included. Silence of a node for `timeoutMs` ends its connection.
 */
export function clusterOptions<Node extends object>(options: ClusterClientOptions<Node>) {
  const { natMap, node, retryDelayMs, timeoutMs } = options
  return {
    ...(natMap !== undefined && { natMap: { ...natMap } }),
    redisOptions: {
      ...node,
      commandTimeout: 2 * timeoutMs,
      ...(natMap !== undefined && { reconnectOnError: translateRedirections(natMap) }),
    },
    lazyConnect: true,
    enableOfflineQueue: false,
    // It would need the permission for CLUSTER INFO, and only one node would be asked.
    enableReadyCheck: false,
    maxRedirections: MAX_ATTEMPTS,
    slotsRefreshTimeout: timeoutMs,
    slotsRefreshInterval: SLOTS_INTERVAL_MS,
    clusterRetryStrategy: retryDelayMs,
    // Names are resolved at each connection, and stay what a certificate is compared with.
    dnsLookup: (host, resolved) => resolved(null, host),
  } satisfies ClusterOptions
}

/**
 * ioredis looks for the announced address of a redirection among its connections, which are known by reachable addresses. It
 * finds none, and sends the command, and all others for the slots of the same range, to random nodes until it has read the table
 * again. This is called with each error reply before ioredis acts on it.
 */
function translateRedirections(natMap: NatMap): (error: Error) => false {
  return (error) => {
    const [kind, slot, announced = ''] = error.message.split(' ')
    const reachable = natMap[announced]
    // What is announced by another node as well, ioredis would translate again.
    if ((kind !== 'MOVED' && kind !== 'ASK') || reachable === undefined) return false
    const name = `${reachable.host}:${reachable.port}`
    if (!(name in natMap)) error.message = `${kind} ${slot} ${name}`
    return false
  }
}

import type { Redis, RedisOptions } from 'ioredis'

const REFRESHER = 'ioredis-cluster(refresher)'

/**
 * Reports why a node of a Cluster could not be asked for the table of slots. For this, ioredis opens a duplicate of the connection
 * to the node and ignores its errors, so that otherwise only "Connection is closed" is left of a refused connection or certificate.
 */
export function onRefreshError(node: Redis, failed: (error: Error) => void): void {
  const duplicate = node.duplicate.bind(node)
  node.duplicate = (override?: Partial<RedisOptions>) => {
    const copy = duplicate(override)
    if (override?.connectionName?.startsWith(REFRESHER) === true) copy.on('error', failed)
    return copy
  }
}

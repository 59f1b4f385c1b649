import { redisError } from '../../../../shared/errors.ts'
import { serverAddressText, type ServerAddress } from '../../../../shared/server-address.ts'
import type { RedisConfig } from '../../../config/config.ts'
import { judgeConfiguredNodes, parseOwnerIds, type ConfiguredNode } from '../../../core/configured-nodes.ts'
import type { Finding } from '../../../core/doctor.ts'
import { createConnection } from '../../../redis/client.ts'

/** Asks each node of REDIS_CLUSTER_NODES for the nodes of its Cluster. Those that do not tell are left out. */
export async function checkConfiguredNodes(config: RedisConfig, random: () => number): Promise<Finding[]> {
  const { location } = config
  if (location.kind !== 'cluster') return []
  const asked = await Promise.all(location.nodes.map((node) => askNode(config, node, random)))
  return judgeConfiguredNodes(asked.filter((node) => node !== undefined))
}

async function askNode(
  config: RedisConfig,
  address: ServerAddress,
  random: () => number,
): Promise<ConfiguredNode | undefined> {
  const ofNode: RedisConfig = { ...config, location: { kind: 'address', ...address } }
  const telemetry = { redisConnected: () => undefined, redisFailed: () => undefined }
  const connection = createConnection(ofNode, undefined, telemetry, random)
  try {
    await connection.connect()
    const ownerIds = await connection.cluster('SLOTS').then(parseOwnerIds, idsUnlessNoCluster)
    return { name: serverAddressText(address), ownerIds }
  } catch {
    return undefined
  } finally {
    connection.disconnect()
  }
}

/** @throws what else the node replied. */
function idsUnlessNoCluster(error: unknown): undefined {
  if (redisError(error).code !== 'NO_CLUSTER') throw error
}

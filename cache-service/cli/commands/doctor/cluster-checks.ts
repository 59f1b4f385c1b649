import { ServiceError } from '../../../../shared/errors.ts'
import { failedOwners, judgeCluster, parseClusterView } from '../../../core/cluster-health.ts'
import { redisFinding, type Finding } from '../../../core/doctor.ts'
import { askMasters } from '../../../redis/cluster/each-master.ts'
import type { RedisClient } from '../../../redis/redis-client.ts'
import { configValue } from '../../../redis/server-facts.ts'

export type ClusterCheck = {
  readonly findings: readonly Finding[]
  /** The masters that these report as failed, as the nodes know them: `host:port`. */
  readonly failed: readonly string[]
}

/** What the masters say about their Cluster. */
export async function checkCluster(redis: RedisClient): Promise<ClusterCheck> {
  const asked = await askMasters(redis, async (server) => {
    const [info, nodes] = await Promise.all([server.cluster('INFO'), server.cluster('NODES')])
    // The user may lack permission for it.
    const coverage = await server
      .config('GET', 'cluster-require-full-coverage')
      .then(configValue, () => undefined)
    return { info: String(info), nodes: String(nodes), coverage }
  })
  const views = asked.flatMap(({ answer, name }) =>
    answer instanceof ServiceError
      ? []
      : [parseClusterView(name, answer.info, answer.nodes, answer.coverage)],
  )
  if (views.length > 0) return { findings: judgeCluster(views), failed: failedOwners(views) }
  const isDenied = asked.some(({ answer }) => answer instanceof ServiceError && answer.code === 'NOPERM')
  const reason = isDenied ? 'CLUSTER INFO or CLUSTER NODES is denied' : 'no master answers'
  return { findings: [redisFinding('skipped', 'cluster state', reason)], failed: [] }
}

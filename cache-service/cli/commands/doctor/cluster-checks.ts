import { ServiceError } from '../../../../shared/errors.ts'
import { judgeCluster, parseClusterView } from '../../../core/cluster-health.ts'
import { redisFinding, type Finding } from '../../../core/doctor.ts'
import { askMasters } from '../../../redis/cluster/each-master.ts'
import type { RedisClient } from '../../../redis/redis-client.ts'

/** What the masters say about their Cluster. */
export async function checkCluster(redis: RedisClient): Promise<Finding[]> {
  const asked = await askMasters(redis, async (server) => {
    const [info, nodes] = await Promise.all([server.cluster('INFO'), server.cluster('NODES')])
    return { info: String(info), nodes: String(nodes) }
  })
  const views = asked.flatMap(({ answer, name }) =>
    answer instanceof ServiceError ? [] : [parseClusterView(name, answer.info, answer.nodes)],
  )
  if (views.length > 0) return judgeCluster(views)
  const isDenied = asked.some(({ answer }) => answer instanceof ServiceError && answer.code === 'NOPERM')
  return [
    redisFinding(
      'skipped',
      'cluster state',
      isDenied ? 'CLUSTER INFO or CLUSTER NODES is denied' : 'no master answers',
    ),
  ]
}

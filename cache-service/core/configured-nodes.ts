import { redisFinding, type Finding } from './doctor.ts'
import { listText } from './list-text.ts'

/** A configured node that answered. */
export type ConfiguredNode = {
  /** As REDIS_CLUSTER_NODES names it. */
  readonly name: string
  /** The ids of the nodes that own slots, as this node knows them; undefined: it is not in cluster mode. */
  readonly ownerIds: readonly string[] | undefined
}

/** @param reply of CLUSTER SLOTS. @returns the ids of all nodes in it. */
export function parseOwnerIds(reply: unknown): string[] {
  const ranges: unknown[] = Array.isArray(reply) ? reply : []
  const nodes = ranges.flatMap((range): unknown[] => (Array.isArray(range) ? range.slice(2) : []))
  return [...new Set(nodes.flatMap((node): string[] => (Array.isArray(node) ? [String(node[2])] : [])))]
}

/**
 * Whether the configured nodes are all of one Cluster: each process learns its nodes from any one of them. Nodes of one Cluster know
 * the same ids, whatever addresses they announce.
 *
 * @returns nothing if all are of one Cluster.
 */
export function judgeConfiguredNodes(nodes: readonly ConfiguredNode[]): Finding[] {
  const clusters = clustersOf(nodes)
  const [cluster] = clusters.toSorted((a, b) => b.names.length - a.names.length)
  if (cluster === undefined) return []
  const others = new Set(clusters.filter((one) => one !== cluster).flatMap(({ names }) => names))
  return nodes.flatMap(({ name, ownerIds }) => {
    if (ownerIds === undefined) return [misplaced(name, 'it is not in cluster mode', REMOVE)]
    if (ownerIds.length === 0)
      return [misplaced(name, 'it knows no node with slots, and has therefore not joined the Cluster', JOIN)]
    if (!others.has(name)) return []
    return [misplaced(name, `it belongs to another Cluster than ${listText(cluster.names)}`, REMOVE)]
  })
}

type NodesOfCluster = { readonly names: string[]; readonly ids: Set<string> }

function clustersOf(nodes: readonly ConfiguredNode[]): NodesOfCluster[] {
  let clusters: NodesOfCluster[] = []
  for (const { name, ownerIds = [] } of nodes) {
    if (ownerIds.length === 0) continue
    // A node with a view of its own may show that others are of one Cluster.
    const known = clusters.filter(({ ids }) => ownerIds.some((id) => ids.has(id)))
    const names = [...known.flatMap((one) => one.names), name]
    const ids = new Set([...known.flatMap((one) => [...one.ids]), ...ownerIds])
    clusters = [...clusters.filter((one) => !known.includes(one)), { names, ids }]
  }
  return clusters
}

const REMOVE = 'Remove it from REDIS_CLUSTER_NODES: each process starts with any one of the nodes there.'
const JOIN =
  'Remove it from REDIS_CLUSTER_NODES, or add it to the Cluster: `redis-cli --cluster add-node <new> <existing>`.'

function misplaced(name: string, detail: string, fix: string): Finding {
  return redisFinding('failed', `REDIS_CLUSTER_NODES ${name}`, detail, fix)
}

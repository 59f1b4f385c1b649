import { redisFinding, type Finding } from './doctor.ts'

/** As in shared/redis-client/key-slot.ts, which core may not import. */
const SLOT_COUNT = 16_384

/** A node, as another one describes it. */
export type ClusterNode = {
  readonly id: string
  /** `host:port`, as the nodes know each other. */
  readonly address: string
  readonly isMaster: boolean
  /** undefined: it is a master. */
  readonly masterId: string | undefined
  /** `suspected`: one node can't reach it, but the others have not agreed yet. */
  readonly health: 'ok' | 'suspected' | 'failed'
  readonly slots: number
}

/** What one master says about the Cluster. */
export type ClusterView = {
  /** Who says it. */
  readonly name: string
  readonly servesAllSlots: boolean
  readonly nodes: readonly ClusterNode[]
  /** Slots that are being moved to or from it. */
  readonly movingSlots: number
}

/** @param info the reply of CLUSTER INFO. @param nodes the reply of CLUSTER NODES. */
export function parseClusterView(name: string, info: string, nodes: string): ClusterView {
  const lines = nodes.split('\n').filter((line) => line.trim() !== '')
  return {
    name,
    servesAllSlots: /^cluster_state:ok/m.test(info),
    nodes: lines.map(parseNode),
    // Only of the node that is asked: [slot->-id] or [slot-<-id].
    movingSlots: lines.join(' ').match(/\[\d+-[<>]-/g)?.length ?? 0,
  }
}

/** `id address:port@bus,hostname flags master ping pong epoch link slot slot-slot …` */
function parseNode(line: string): ClusterNode {
  const [id = '', address = '', flagText = '', master = '-', , , , , ...slots] = line.split(' ')
  const flags = flagText.split(',')
  const ranges = slots.filter((slot) => !slot.startsWith('['))
  return {
    id,
    address: address.replace(/@.*/, ''),
    isMaster: flags.includes('master'),
    masterId: master === '-' ? undefined : master,
    health: flags.includes('fail') ? 'failed' : flags.includes('fail?') ? 'suspected' : 'ok',
    slots: ranges.reduce((sum, range) => sum + sizeOf(range), 0),
  }
}

function sizeOf(range: string): number {
  const [from, to = from] = range.split('-').map(Number)
  return (to ?? 0) - (from ?? 0) + 1
}

/** @param views of the masters that answered; at least one. */
export function judgeCluster(views: readonly ClusterView[]): Finding[] {
  const nodes = views[0]?.nodes ?? []
  return [
    judgeState(views),
    judgeSlots(nodes),
    ...judgeNodes(nodes),
    ...judgeReplicas(nodes),
    ...judgeMoves(views),
  ]
}

function judgeState(views: readonly ClusterView[]): Finding {
  const check = 'cluster state'
  const failing = views.filter(({ servesAllSlots }) => !servesAllSlots).map(({ name }) => name)
  if (failing.length === 0) return redisFinding('ok', check, `ok, as ${views.length} masters say`)
  return redisFinding(
    'failed',
    check,
    `fail, as ${failing.join(', ')} says: it refuses commands`,
    'Restart the failed nodes, or give slots without an owner to a master: `redis-cli --cluster check` names them, `redis-cli --cluster fix` repairs slots.',
  )
}

function judgeSlots(nodes: readonly ClusterNode[]): Finding {
  const check = 'slots'
  const owned = nodes.reduce((sum, { slots }) => sum + slots, 0)
  if (owned >= SLOT_COUNT) return redisFinding('ok', check, `all ${SLOT_COUNT} have an owner`)
  return redisFinding(
    'failed',
    check,
    `${SLOT_COUNT - owned} of ${SLOT_COUNT} have no owner: their devices can't be read or written`,
    'Assign them: `redis-cli --cluster fix <node>`.',
  )
}

function judgeNodes(nodes: readonly ClusterNode[]): Finding[] {
  return nodes
    .filter(({ health }) => health !== 'ok')
    .map(({ address, health, isMaster, slots }) => {
      const what = isMaster && slots > 0 ? `a master of ${slots} slots` : isMaster ? 'a master' : 'a replica'
      const state = health === 'failed' ? 'does not answer the others' : 'may not answer the others'
      return redisFinding(
        isMaster && slots > 0 && health === 'failed' ? 'failed' : 'warning',
        `node ${address}`,
        `${what} that ${state}`,
        'Restart it, or remove it if it will not come back: `redis-cli --cluster del-node`, or CLUSTER FORGET on every other node.',
      )
    })
}

function judgeReplicas(nodes: readonly ClusterNode[]): Finding[] {
  const isReplicated = ({ id }: ClusterNode) =>
    nodes.some(({ health, masterId }) => masterId === id && health !== 'failed')
  const alone = nodes.filter(
    (node) => node.isMaster && node.slots > 0 && node.health !== 'failed' && !isReplicated(node),
  )
  if (alone.length === 0) return [redisFinding('ok', 'replicas', 'every master has one')]
  return [
    redisFinding(
      'warning',
      'replicas',
      `none for ${alone.map(({ address }) => address).join(', ')}: if such a master stops, its devices can't be read or written until it is back`,
      'Add one for each: `redis-cli --cluster add-node <new> <existing> --cluster-slave --cluster-master-id <id>`.',
    ),
  ]
}

function judgeMoves(views: readonly ClusterView[]): Finding[] {
  const moving = views.filter(({ movingSlots }) => movingSlots > 0).map(({ name }) => name)
  if (moving.length === 0) return []
  return [
    redisFinding(
      'warning',
      'moving slots',
      `a reshard is under way, or was interrupted, at ${moving.join(', ')}`,
      'If no reshard is running, complete it: `redis-cli --cluster fix <node>`.',
    ),
  ]
}

/** @param versions of the masters that told theirs. */
export function judgeVersions(versions: readonly string[]): Finding[] {
  const distinct = [...new Set(versions)].sort()
  if (distinct.length < 2) return []
  return [
    redisFinding(
      'warning',
      'versions',
      `the masters run different ones: ${distinct.join(', ')}`,
      'Complete the upgrade of the Cluster.',
    ),
  ]
}

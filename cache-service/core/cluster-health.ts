import { redisFinding, type Finding } from './doctor.ts'
import { listText } from './list-text.ts'

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
  /** The setting `cluster-require-full-coverage`; undefined: unknown. */
  readonly requiresFullCoverage: boolean | undefined
}

/**
 * @param info the reply of CLUSTER INFO.
 * @param nodes the reply of CLUSTER NODES.
 * @param fullCoverage the setting `cluster-require-full-coverage`; undefined: unknown.
 */
export function parseClusterView(
  name: string,
  info: string,
  nodes: string,
  fullCoverage?: string,
): ClusterView {
  const lines = nodes.split('\n').filter((line) => line.trim() !== '')
  return {
    name,
    servesAllSlots: /^cluster_state:ok/m.test(info),
    nodes: lines.map(parseNode),
    // Only of the node that is asked: [slot->-id] or [slot-<-id].
    movingSlots: lines.join(' ').match(/\[\d+-[<>]-/g)?.length ?? 0,
    requiresFullCoverage: fullCoverage === undefined ? undefined : fullCoverage === 'yes',
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
    ...judgeFullCoverage(views),
    ...judgeMoves(views),
  ]
}

function judgeState(views: readonly ClusterView[]): Finding {
  const check = 'cluster state'
  const failing = views.filter(({ servesAllSlots }) => !servesAllSlots).map(({ name }) => name)
  if (failing.length === 0)
    return redisFinding('ok', check, views.length === 1 ? 'ok' : `ok (${views.length} masters agree)`)
  return redisFinding(
    'failed',
    check,
    `fail, according to ${listText(failing)}: ${failing.length === 1 ? 'it refuses' : 'they refuse'} commands`,
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
    .map((node) => {
      const { address, health, isMaster, slots } = node
      const what = isOwner(node) ? `a master of ${slots} slots` : isMaster ? 'a master' : 'a replica'
      const state = health === 'failed' ? 'does not answer the others' : 'may not answer the others'
      return redisFinding(
        isFailedOwner(node) ? 'failed' : 'warning',
        `node ${address}`,
        `${what} that ${state}`,
        nodeFix(node, replicaOf(node, nodes)),
      )
    })
}

/** `redis-cli --cluster del-node` would ask the node itself. */
function nodeFix(node: ClusterNode, replica: ClusterNode | undefined): string {
  if (node.health === 'suspected') return 'Run the check again, and restart it if it still does not answer.'
  const forget = `CLUSTER FORGET ${node.id} on every other node`
  if (!isFailedOwner(node)) return `Restart it. If it will not come back: ${forget}.`
  if (replica !== undefined)
    return `Restart it, or let its replica take its place: CLUSTER FAILOVER TAKEOVER on ${replica.address}.`
  return `Restart it. If it will not come back: ${forget}, then \`redis-cli --cluster fix <node>\`, then \`cache-cli rebuild\`, because its data are lost.`
}

function isOwner({ isMaster, slots }: ClusterNode): boolean {
  return isMaster && slots > 0
}

function isFailedOwner(node: ClusterNode): boolean {
  return isOwner(node) && node.health === 'failed'
}

/** The addresses of the masters whose slots can't be used because they have failed. */
export function failedOwners([view]: readonly ClusterView[]): string[] {
  return (view?.nodes ?? []).filter(isFailedOwner).map(({ address }) => address)
}

/** One that has not failed. */
function replicaOf({ id }: ClusterNode, nodes: readonly ClusterNode[]): ClusterNode | undefined {
  return nodes.find(({ health, masterId }) => masterId === id && health !== 'failed')
}

function judgeReplicas(nodes: readonly ClusterNode[]): Finding[] {
  const alone = nodes.filter(
    (node) => isOwner(node) && node.health !== 'failed' && replicaOf(node, nodes) === undefined,
  )
  if (alone.length === 0) return [redisFinding('ok', 'replicas', 'every master has one')]
  return [
    redisFinding(
      'warning',
      'replicas',
      `none for ${listText(alone.map(({ address }) => address))}: if such a master stops, its devices can't be read or written until it is back`,
      'Add one for each: `redis-cli --cluster add-node <new> <existing> --cluster-slave --cluster-master-id <id>`.',
    ),
  ]
}

/** Only where it matters: while every master has a replica that can take its place, all slots stay covered. */
function judgeFullCoverage(views: readonly ClusterView[]): Finding[] {
  const nodes = views[0]?.nodes ?? []
  const isExposed = nodes.some((node) => isOwner(node) && replicaOf(node, nodes) === undefined)
  const requiring = views.filter(({ requiresFullCoverage }) => requiresFullCoverage === true)
  if (!isExposed || requiring.length === 0) return []
  return [
    redisFinding(
      'warning',
      'full coverage',
      `cluster-require-full-coverage is yes at ${listText(requiring.map(({ name }) => name))}: while a master without a replica is down, all masters refuse commands`,
      'On every node: redis-cli CONFIG SET cluster-require-full-coverage no, and change the configuration file of Redis likewise.',
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
      `a reshard is under way, or was interrupted, at ${listText(moving)}`,
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

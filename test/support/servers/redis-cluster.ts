import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { SLOT_COUNT } from '../../../shared/redis-client/key-slot.ts'
import { patiently } from '../eventually.ts'
import { beginMove, endMove, readView, slotsOf, type ClusterView, type SlotRange } from './cluster-slots.ts'
import { reservePort } from './free-port.ts'
import { startOwnRedis, type OwnRedis, type OwnRedisOptions } from './native-redis.ts'
import { openServerFolder } from './server-process.ts'
import { createTlsFiles, type TlsFiles } from './tls-certificates.ts'

export type RedisClusterOptions = {
  /** Default: 3. */
  readonly masters?: number
  /** Default: 0. */
  readonly replicasPerMaster?: number
  /** After which a node that does not answer counts as failed. Default: 2000. */
  readonly nodeTimeoutMs?: number
  /** Of the default user of all nodes; the replicas log in with it. */
  readonly password?: string
  readonly aclUsers?: NonNullable<OwnRedisOptions['aclUsers']>
  readonly tls?: NonNullable<OwnRedisOptions['tls']>
  /** The nodes announce ports at which they can't be reached, as behind a NAT. */
  readonly announcesOtherPorts?: boolean
  /** Further arguments of every node, such as `'--appendonly', 'yes'`. */
  readonly args?: readonly string[]
}

export type ClusterNode = OwnRedis & {
  /** By which the nodes know each other. */
  readonly id: string
  readonly announcedPort: number
  /** A connection of the tests, as the default user. */
  readonly admin: Redis
}

/** A Redis Cluster of native processes on 127.0.0.1. */
export type RedisCluster = {
  /** All that were ever started; those that were added are the last. */
  readonly nodes: readonly ClusterNode[]
  /** The nodes at the start, as REDIS_CLUSTER_NODES takes them. */
  readonly seeds: string
  readonly tls: TlsFiles | undefined
  /** Neither killed nor frozen. */
  running(): readonly ClusterNode[]
  /** The nodes that own slots, in the order of their first slots. */
  masters(): Promise<ClusterNode[]>
  replicasOf(master: ClusterNode): Promise<ClusterNode[]>
  ownerOf(key: string): Promise<ClusterNode>
  /** Adds a master without slots, or a replica of the given master. */
  addNode(replicaOf?: ClusterNode): Promise<ClusterNode>
  /** Moves slots with their keys, as `redis-cli --cluster reshard` does. @param slots how many, or which. */
  moveSlots(from: ClusterNode, to: ClusterNode, slots: number | readonly SlotRange[]): Promise<void>
  /** Begins to move a slot, and leaves it half moved: with `keys` of its keys at `to`. Default: none. */
  beginMove(from: ClusterNode, to: ClusterNode, slot: number, keys?: number): Promise<void>
  /** Makes a replica the master; `takeover`: without the consent of the others. */
  failover(replica: ClusterNode, takeover?: boolean): Promise<void>
  /** Resolves with the replica that has become the master in the place of one that was killed or frozen. */
  failedOver(former: ClusterNode): Promise<ClusterNode>
  kill(node: ClusterNode): Promise<void>
  /** Kills it if it runs. `isWiped`: without what it has saved; without persistence, every restart is. */
  restart(node: ClusterNode, options?: { isWiped?: boolean; waitUntilReady?: boolean }): Promise<void>
  freeze(node: ClusterNode): Promise<void>
  thaw(node: ClusterNode): Promise<void>
  /** Resolves when all running nodes serve all slots and agree who owns them and who replicates whom. */
  settled(): Promise<void>
  stop(): Promise<void>
}

const MOVES_AT_A_TIME = 16

export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const cluster = new StartedCluster(options)
  try {
    await cluster.start()
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

class StartedCluster implements RedisCluster {
  readonly nodes: ClusterNode[] = []
  seeds = ''
  tls: TlsFiles | undefined
  readonly #options: RedisClusterOptions
  readonly #frozen = new Set<ClusterNode>()
  /** A slot of each master that was killed or frozen. */
  readonly #lastSlots = new Map<ClusterNode, number>()
  readonly #releases: (() => Promise<void>)[] = []

  constructor(options: RedisClusterOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { masters = 3, replicasPerMaster = 0, tls } = this.#options
    if (tls !== undefined && tls !== false) {
      const folder = openServerFolder('test-cluster-tls')
      this.#releases.push(folder.remove)
      this.tls = await createTlsFiles(folder.path)
    }
    await Promise.all(Array.from({ length: masters * (1 + replicasPerMaster) }, () => this.#startNode()))
    this.seeds = this.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
    for (const [i, { admin }] of this.nodes.slice(0, masters).entries()) {
      const [from, end] = [i, i + 1].map((n) => Math.floor((n * SLOT_COUNT) / masters))
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', from ?? 0, (end ?? SLOT_COUNT) - 1)
    }
    await this.#meet(this.nodes)
    await Promise.all(
      this.nodes.slice(masters).map(async (replica, i) => {
        const master = this.nodes[i % masters]
        if (master !== undefined) await replicate(replica, master)
      }),
    )
    await this.settled()
  }

  async stop(): Promise<void> {
    for (const { admin } of this.nodes) admin.disconnect()
    await Promise.all(this.nodes.map((node) => node.stop()))
    for (const release of this.#releases.splice(0).toReversed()) await release()
  }

  async masters(): Promise<ClusterNode[]> {
    const { ranges } = await this.#view()
    return [...new Set(ranges.map(({ owner }) => this.#nodeOf(owner)))]
  }

  async replicasOf({ id }: ClusterNode): Promise<ClusterNode[]> {
    const { nodes } = await this.#view()
    const replicas = [...nodes].filter(([, { masterId }]) => masterId === id)
    return replicas.map(([replicaId]) => this.#nodeOf(replicaId))
  }

  async ownerOf(key: string): Promise<ClusterNode> {
    return await this.#ownerOfSlot(Number(await this.#anyAdmin().cluster('KEYSLOT', key)))
  }

  async addNode(replicaOf?: ClusterNode): Promise<ClusterNode> {
    const node = await this.#startNode()
    await this.#meet([node])
    if (replicaOf !== undefined) await replicate(node, replicaOf)
    await this.settled()
    return node
  }

  async moveSlots(from: ClusterNode, to: ClusterNode, slots: number | readonly SlotRange[]): Promise<void> {
    const { nodes } = await this.#view()
    const owned = slotsOf(nodes.get(from.id)?.ranges ?? [])
    const moved = typeof slots === 'number' ? owned.slice(0, slots) : slotsOf(slots)
    const others = this.running().filter(
      (node) => node !== from && node !== to && nodes.get(node.id)?.isMaster === true,
    )
    const move = { from, to, password: this.#options.password }
    // Several at a time: most of it is waiting for replies.
    for (let first = 0; first < moved.length; first += MOVES_AT_A_TIME)
      await Promise.all(
        moved.slice(first, first + MOVES_AT_A_TIME).map(async (slot) => {
          await beginMove(move, slot)
          await endMove(move, slot, others)
        }),
      )
    await this.settled()
  }

  async beginMove(from: ClusterNode, to: ClusterNode, slot: number, keys = 0): Promise<void> {
    await beginMove({ from, to, password: this.#options.password }, slot, keys)
  }

  async failover(replica: ClusterNode, takeover = false): Promise<void> {
    await replica.admin.call('CLUSTER', 'FAILOVER', ...(takeover ? ['TAKEOVER'] : []))
    await patiently(async () => {
      for (const { nodes } of await this.#views())
        if (nodes.get(replica.id)?.isMaster !== true) throw new Error('not promoted everywhere')
    })
    await this.settled()
  }

  async failedOver(former: ClusterNode): Promise<ClusterNode> {
    const slot = this.#lastSlots.get(former)
    if (slot === undefined) throw new Error('the node was no master when it was killed or frozen')
    await patiently(async () => {
      for (const { ranges } of await this.#views())
        if (ranges.some(({ owner }) => owner === former.id)) throw new Error('not failed over')
    })
    await this.settled()
    return await this.#ownerOfSlot(slot)
  }

  async kill(node: ClusterNode): Promise<void> {
    await this.#rememberSlot(node)
    this.#frozen.delete(node)
    await node.kill('SIGKILL')
  }

  async restart(node: ClusterNode, { isWiped = false, waitUntilReady = true } = {}): Promise<void> {
    await this.kill(node)
    if (isWiped)
      for (const saved of ['dump.rdb', 'appendonlydir'])
        rmSync(join(node.folder, saved), { recursive: true, force: true })
    await node.start({ waitUntilReady })
  }

  async freeze(node: ClusterNode): Promise<void> {
    await this.#rememberSlot(node)
    this.#frozen.add(node)
    await node.kill('SIGSTOP')
  }

  async thaw(node: ClusterNode): Promise<void> {
    await node.kill('SIGCONT')
    this.#frozen.delete(node)
  }

  async settled(): Promise<void> {
    await patiently(async () => {
      const views = await this.#views()
      const infos = await Promise.all(
        this.running().map(async ({ admin }) => String(await admin.cluster('INFO'))),
      )
      if (infos.some((info) => !info.includes('cluster_state:ok')))
        throw new Error(`a node does not serve all slots:\n${infos.join('\n')}`)
      const topologies = new Set(views.map(({ topology }) => topology))
      if (topologies.size !== 1) throw new Error(`the nodes disagree:\n${[...topologies].join('\n')}`)
    })
  }

  async #startNode(): Promise<ClusterNode> {
    const other = this.#options.announcesOtherPorts === true ? await reservePort() : undefined
    if (other !== undefined) this.#releases.push(other.release)
    const args = other === undefined ? [] : ['--cluster-announce-port', String(other.port)]
    const server = await startOwnRedis(nodeOptions(this.#options, this.tls, args))
    const admin = connectAdmin(server)
    const announcedPort = other?.port ?? server.port
    const node = Object.assign(server, { id: '', announcedPort, admin })
    // It is stopped with the others, whatever happens next.
    this.nodes.push(node)
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', this.nodes.length)
    node.id = String(await admin.cluster('MYID'))
    return node
  }

  /** Between all pairs: gossip alone takes longer. */
  async #meet(joining: readonly ClusterNode[]): Promise<void> {
    for (const { admin, id } of joining)
      for (const other of this.running())
        if (other.id !== id) await admin.call('CLUSTER', 'MEET', other.host, other.port, other.busPort)
    await patiently(async () => {
      const ids = this.running().map(({ id }) => id)
      for (const { nodes } of await this.#views())
        if (ids.some((id) => nodes.get(id)?.isConnected !== true)) throw new Error('not all have met')
    })
  }

  running(): ClusterNode[] {
    return this.nodes.filter((node) => node.isRunning && !this.#frozen.has(node))
  }

  #anyAdmin(): Redis {
    const [node] = this.running()
    if (node === undefined) throw new Error('no node of the cluster is running')
    return node.admin
  }

  async #view(): Promise<ClusterView> {
    return await readView(this.#anyAdmin())
  }

  async #views(): Promise<ClusterView[]> {
    return await Promise.all(this.running().map(async ({ admin }) => await readView(admin)))
  }

  #nodeOf(id: string): ClusterNode {
    const node = this.nodes.find((one) => one.id === id)
    if (node === undefined) throw new Error(`the cluster has a node that the test did not start: ${id}`)
    return node
  }

  async #ownerOfSlot(slot: number): Promise<ClusterNode> {
    const { ranges } = await this.#view()
    const range = ranges.find(({ from, to }) => from <= slot && slot <= to)
    if (range === undefined) throw new Error(`slot ${slot} has no owner`)
    return this.#nodeOf(range.owner)
  }

  async #rememberSlot(node: ClusterNode): Promise<void> {
    if (!this.running().includes(node)) return
    // Of the node itself: another one may be killed at the same time.
    const { nodes } = await readView(node.admin)
    const [range] = nodes.get(node.id)?.ranges ?? []
    if (range !== undefined) this.#lastSlots.set(node, range.from)
  }
}

function nodeOptions(
  { aclUsers = {}, args = [], nodeTimeoutMs = 2_000, password, tls = false }: RedisClusterOptions,
  tlsFiles: TlsFiles | undefined,
  announceArgs: readonly string[],
): OwnRedisOptions {
  return {
    ...(password !== undefined && { password }),
    aclUsers,
    tls,
    tlsFiles,
    isClusterNode: true,
    args: [
      ...['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-announce-ip', '127.0.0.1'],
      // Without a delay, a replica is ready at once.
      ...['--repl-diskless-sync-delay', '0'],
      ...(tls === false ? [] : ['--tls-cluster', 'yes', '--tls-replication', 'yes']),
      ...(password === undefined ? [] : ['--masterauth', password]),
      ...announceArgs,
      ...args,
    ],
  }
}

function connectAdmin({ tls, url }: OwnRedis): Redis {
  const admin = new Redis(url, {
    enableReadyCheck: false,
    // A command for a node that is starting waits for it.
    commandTimeout: 5_000,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
    ...(tls !== undefined && { tls: { ca: tls.ca, cert: tls.clientCertificate, key: tls.clientKey } }),
  })
  admin.on('error', () => undefined)
  return admin
}

async function replicate(replica: ClusterNode, master: ClusterNode): Promise<void> {
  await patiently(async () => await replica.admin.cluster('REPLICATE', master.id))
  await patiently(async () => {
    const info = await replica.admin.info('replication')
    if (!info.includes('master_link_status:up')) throw new Error('the replica has not copied the data')
  })
}

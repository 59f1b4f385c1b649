import { progressCopyKeys } from '../../../cache-service/redis/workers/cluster-progress-store.ts'
import type { RedisStep } from '../schedule.ts'
import { GROUP, TOPIC } from '../settings.ts'
import { nameOf, SimulatedClusterClient } from './cluster-client.ts'
import {
  cachedSlot,
  firstTopology,
  slotHolders,
  slotsOf,
  type Master,
  type Topology,
} from './cluster-topology.ts'
import { CopyPlaces } from './copy-places.ts'
import { REFUSALS, type RedisServers, type RedisSurroundings, type WorkerRedis } from './redis-servers.ts'
import { SimulatedRedis, type RedisReply, type RedisSnapshot } from './simulated-redis.ts'
import { SlotMoves } from './slot-moves.ts'

const MOST_SHARDS = 5

type Shard = {
  master: Master
  /** What a replica has, or a file: at the time when it was saved. */
  saved: RedisSnapshot
  replaced: number
}

/** The masters of a Redis Cluster, each with its own data, and what happens to them and to the slots. */
export class SimulatedCluster implements RedisServers {
  readonly #surroundings: RedisSurroundings
  readonly #clients = new Set<SimulatedClusterClient>()
  readonly #shards: Shard[] = []
  readonly #byName = new Map<string, Master>()
  readonly #copyPlaces: CopyPlaces
  readonly #moves: SlotMoves
  /** The last one is that of now. */
  #topologies: { readonly sinceMs: number; readonly topology: Topology }[] = []
  #copies: { readonly topology: Topology; readonly keys: readonly string[] } | undefined

  constructor(masters: number, surroundings: RedisSurroundings) {
    this.#surroundings = surroundings
    this.#copyPlaces = new CopyPlaces(surroundings.committed, () => surroundings.scheduler.nowMs)
    for (let shard = 0; shard < masters; shard++) this.#addShard()
    this.#topologies = [{ sinceMs: 0, topology: firstTopology(this.#masters) }]
    const { random, scheduler } = surroundings
    this.#moves = new SlotMoves({
      scheduler,
      random,
      topology: () => this.topology,
      changed: (owners) => {
        if (slotHolders(this.topology).some(({ shard }) => !owners.includes(shard)))
          surroundings.copiesMoved()
        this.#changed(owners)
      },
      // To a process that has not seen the masters before, a copy that comes along with a slot hides such a loss.
      isSettled: (shard) => surroundings.isOneProcess || !this.#copyPlaces.hasUnseenLoss(shard),
      imported: (shard, key) => this.#copyPlaces.imported(shard, key),
    })
  }

  get topology(): Topology {
    return this.#topologies.at(-1)?.topology ?? firstTopology(this.#masters)
  }

  get #masters(): Master[] {
    return this.#shards.map(({ master }) => master)
  }

  topologyAt(ms: number): Topology {
    return this.#topologies.findLast(({ sinceMs }) => sinceMs <= ms)?.topology ?? this.topology
  }

  /** @param number modulo how many there are. */
  masterOf(number: number): Master {
    return this.#shardOf(number).master
  }

  masterNamed(name: string): Master {
    const master = this.#byName.get(name)
    if (master === undefined) throw new Error(`there is no node ${name}`)
    return master
  }

  hash(key: string) {
    return this.#serverOf(key).hash(key)
  }

  expiryOf(key: string) {
    return this.#serverOf(key).expiryOf(key)
  }

  set(key: string) {
    return this.#serverOf(key).set(key)
  }

  keys() {
    return this.#masters.flatMap(({ redis }) => redis.keys())
  }

  progress() {
    return this.#copyKeys().map((key) => this.hash(key))
  }

  open(worker: string): SimulatedClusterClient {
    const { random, scheduler } = this.#surroundings
    const client = new SimulatedClusterClient(this, worker, scheduler, random)
    this.#clients.add(client)
    return client
  }

  close(client: WorkerRedis): void {
    const known = client as SimulatedClusterClient
    known.close()
    this.#clients.delete(known)
  }

  /** A command of a client on a node. @throws Error with a redirection. */
  execute(node: Master, key: string, isAsking: boolean, run: () => RedisReply): RedisReply {
    const { redis } = node
    const redirection = this.#redirection(node, key, isAsking)
    if (redirection !== undefined) throw new Error(redirection)
    const before = redis.redirection
    redis.redirection = (one) => this.#redirection(node, one, isAsking)
    try {
      return run()
    } finally {
      redis.redirection = before
    }
  }

  take(step: RedisStep): void {
    switch (step.kind) {
      case 'move_slots':
        if (!this.#surroundings.isOneProcess) this.#surroundings.copiesMoved()
        return this.#moves.start(
          this.#shardOf(step.master).master.shard,
          this.#shardOf(step.to).master.shard,
          step,
        )
      case 'add_master':
        if (this.#shards.length < MOST_SHARDS) this.#addShard()
        return this.#changed(this.topology.owners)
      case 'request_rebuild':
        return this.#requestRebuild()
      default:
        for (const shard of step.master === undefined ? this.#shards : [this.#shardOf(step.master)])
          this.#takeOn(shard, step)
    }
  }

  endFaults(): void {
    for (const client of this.#clients) client.cutOffUntilMs = 0
    for (const master of this.#byName.values()) {
      master.redis.refusal = undefined
      master.redis.isLoading = false
      master.redis.hungUntilMs = 0
      if (master.outdated !== undefined) master.outdated = { ...master.outdated, untilMs: 0 }
    }
  }

  #takeOn(shard: Shard, step: RedisStep): void {
    const { scheduler } = this.#surroundings
    const { master } = shard
    const { redis } = master
    switch (step.kind) {
      case 'cut_redis_for_all':
        master.downUntilMs = scheduler.nowMs + step.forMs
        for (const client of this.#clients) client.nodeEnded(master, master.downUntilMs)
        return
      case 'redis_full':
      case 'redis_readonly':
        redis.refusal = REFUSALS[step.kind]
        scheduler.after(step.forMs, () => (redis.refusal = undefined), null)
        return
      case 'hang_redis':
        redis.hungUntilMs = scheduler.nowMs + step.forMs
        return
      case 'load_redis':
        if (!this.#restart(shard, shard.saved)) return
        redis.isLoading = true
        scheduler.after(step.forMs, () => (redis.isLoading = false), null)
        return
      case 'fail_over_redis':
        return this.#failOver(shard, step)
      case 'save_redis':
        shard.saved = redis.snapshot()
        return this.#copyPlaces.saved(master.shard)
      case 'wipe_redis':
        return void this.#restart(shard, new Map())
      case 'restore_redis':
        return void this.#restart(shard, shard.saved)
      case 'forget_scripts':
        return redis.scripts.clear()
      case 'request_rebuild':
      case 'move_slots':
      case 'add_master':
        return
    }
  }

  #requestRebuild(): void {
    // `cache-cli rebuild` reports that a master refuses.
    if (this.#masters.some(({ redis }) => redis.refusal !== undefined || redis.isLoading)) return
    const { losesData, partitionCount } = this.#surroundings
    losesData()
    const requests = Array.from({ length: partitionCount() }, (_, partition) => `${partition}:requested`)
    for (const key of this.#copyKeys()) {
      const server = this.#serverOf(key)
      server.scripts.add('request-rebuild')
      server.evaluate('request-rebuild', [key], requests)
    }
  }

  #restart(shard: Shard, saved: RedisSnapshot): boolean {
    const { master } = shard
    if (!this.#isLossNoticeable(master, saved)) return false
    this.#surroundings.losesData()
    this.#copyPlaces.lost(master.shard)
    for (const client of this.#clients) client.nodeEnded(master, 0)
    master.redis.restart(this.#ownKeys(master, saved))
    return true
  }

  /** The old master serves each worker that is cut off from the others, until it learns of the failover; what it acknowledges is lost. */
  #failOver(
    shard: Shard,
    { forMs, isInSync = false }: Extract<RedisStep, { kind: 'fail_over_redis' }>,
  ): void {
    const { losesData, random, scheduler } = this.#surroundings
    const { master, saved } = shard
    const data = isInSync ? master.redis.snapshot() : saved
    if (!this.#isLossNoticeable(master, data)) return
    losesData()
    this.#copyPlaces.lost(master.shard)
    master.redis.wrote = () => undefined
    master.outdated = { topology: this.topology, untilMs: scheduler.nowMs + forMs }
    shard.replaced++
    shard.master = this.#createMaster(master.shard, shard.replaced)
    shard.master.redis.restart(this.#ownKeys(master, data))
    this.#changed(this.topology.owners)
    for (const client of this.#clients)
      client.cutOffUntilMs = Math.max(client.cutOffUntilMs, scheduler.nowMs + random.fraction() * forMs)
  }

  #addShard(): void {
    const number = this.#shards.length
    const shard = { master: this.#createMaster(number, 0), saved: new Map(), replaced: 0 }
    this.#shards.push(shard)
  }

  #createMaster(shard: number, replaced: number): Master {
    const { scheduler, wrote } = this.#surroundings
    const redis = new SimulatedRedis(() => scheduler.nowMs)
    const host = `master-${shard}${'abcdefghijklmnopqrstuvwxyz'[replaced % 26]}${replaced > 25 ? replaced : ''}`
    const master: Master = { host, redis, shard, downUntilMs: 0, outdated: undefined }
    redis.wrote = wrote
    redis.wroteCopy = (key, partition) => {
      if (master.outdated === undefined) this.#copyPlaces.wrote({ shard, partition, key })
      else this.#copyPlaces.wroteInVain({ shard, partition, key })
    }
    redis.redirection = (key) => this.#redirection(master, key, false)
    this.#byName.set(nameOf(master), master)
    return master
  }

  #changed(owners: Uint8Array): void {
    const topology = { owners, masters: this.#masters }
    this.#topologies.push({ sinceMs: this.#surroundings.scheduler.nowMs, topology })
  }

  #shardOf(number = 0): Shard {
    const shard = this.#shards[number % this.#shards.length]
    if (shard === undefined) throw new Error('the Cluster has no masters')
    return shard
  }

  /** Where a reader finds the key. */
  #serverOf(key: string): SimulatedRedis {
    const slot = cachedSlot(key)
    const owner = this.masterOf(this.topology.owners[slot] ?? 0)
    const target = this.#moves.targetOf(slot)
    return target === undefined || owner.redis.has(key) ? owner.redis : this.masterOf(target).redis
  }

  /** What a node replies to a command with a key that it does not serve; undefined: it serves it. */
  #redirection(node: Master, key: string, isAsking: boolean): string | undefined {
    const slot = cachedSlot(key)
    const { outdated, redis, shard } = node
    const isOutdated = outdated !== undefined && this.#surroundings.scheduler.nowMs < outdated.untilMs
    const { masters, owners } = isOutdated ? outdated.topology : this.topology
    const owner = owners[slot] ?? 0
    const isMaster = outdated === undefined || isOutdated
    const target = this.#moves.targetOf(slot)
    if (isMaster && owner === shard) {
      if (isOutdated || target === undefined || redis.has(key)) return undefined
      return `ASK ${slot} ${nameOf(this.masterOf(target))}`
    }
    if (isMaster && isAsking && target === shard) return undefined
    const known = masters[owner]
    return known && `MOVED ${slot} ${nameOf(known)}`
  }

  #isLossNoticeable({ redis, shard }: Master, saved: RedisSnapshot): boolean {
    const { owners } = this.topology
    const isAt = (key: string) => {
      const slot = cachedSlot(key)
      return owners[slot] === shard && (this.#moves.targetOf(slot) === undefined || redis.has(key))
    }
    return this.#copyPlaces.isLossNoticeable(shard, redis, saved, isAt)
  }

  /** A server that starts deletes the keys of slots that it neither owns nor imports. */
  #ownKeys({ shard }: Master, saved: RedisSnapshot): RedisSnapshot {
    const { owners } = this.topology
    const isOwn = (slot: number) => owners[slot] === shard || this.#moves.targetOf(slot) === shard
    return new Map([...saved].filter(([key]) => isOwn(cachedSlot(key))))
  }

  #copyKeys(): readonly string[] {
    const { topology } = this
    if (this.#copies?.topology !== topology) {
      const seen = { isCluster: true, slots: slotsOf(topology), on: () => undefined }
      this.#copies = { topology, keys: progressCopyKeys(seen as never, GROUP, TOPIC) }
    }
    return this.#copies.keys
  }
}

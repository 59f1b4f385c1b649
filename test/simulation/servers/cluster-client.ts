import type { Cluster } from 'ioredis'
import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { Scheduler } from '../scheduler.ts'
import {
  cachedSlot,
  slotHolders,
  slotsOf,
  type Master,
  type SlotLists,
  type Topology,
} from './cluster-topology.ts'
import { SimulatedRedisClient } from './redis-client.ts'
import { evaluateSha, isPromptScript, knownScript } from './scripts.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import type { RedisReply, SimulatedRedis } from './simulated-redis.ts'

/** As shared/redis-client/cluster-options.ts sets them, or else the defaults of ioredis. */
const REFRESH_INTERVAL_MS = 1_000
const REFRESH_TIMEOUT_MS = 5_000
const MAX_ATTEMPTS = 16
const RETRY_DELAY_MS = 100
const SLOWEST_REFRESH_MS = 8
/** How old what a node tells may be: the nodes tell each other what has changed. */
const LONGEST_GOSSIP_MS = 300
const CLOSED = 'Connection is closed.'

type Run = (server: SimulatedRedis) => RedisReply

/**
 * The part of ioredis' Cluster that the worker uses: a connection to each master, a table of slots that is read again every
 * second and after each redirection, and commands that follow redirections. Follows ioredis 6.0.0 as read in its source.
 */
export class SimulatedClusterClient {
  readonly isCluster = true
  readonly status = 'ready'
  slots: SlotLists
  readonly #cluster: SimulatedCluster
  readonly #owner: string
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #refreshed: (() => void)[] = []
  #connections = new Map<string, { readonly master: Master; readonly redis: SimulatedRedisClient }>()
  #topology: Topology
  /** What a redirection of a slot has changed: the list of a whole range. */
  readonly #redirected = new Map<readonly string[], string>()
  #isRefreshing = false
  #isClosed = false
  /** It is on the side of masters that have been replaced. */
  cutOffUntilMs = 0

  constructor(cluster: SimulatedCluster, owner: string, scheduler: Scheduler, random: SeededRandom) {
    this.#cluster = cluster
    this.#owner = owner
    this.#scheduler = scheduler
    this.#random = random
    this.#topology = cluster.topology
    this.slots = slotsOf(this.#topology)
    this.#connect()
    this.#scheduleRefresh()
  }

  /** For code that expects a client of ioredis. */
  asRedis(): Cluster {
    return this as unknown as Cluster
  }

  on(event: string, listener: () => void): this {
    if (event === 'refresh') this.#refreshed.push(listener)
    return this
  }

  nodes(): SimulatedRedisClient[] {
    return [...this.#connections.values()].map(({ redis }) => redis)
  }

  close(): void {
    this.#isClosed = true
  }

  cut(forMs: number, number?: number): void {
    const master = number === undefined ? undefined : this.#cluster.masterOf(number)
    for (const connection of this.#connections.values())
      if (master === undefined || connection.master === master) connection.redis.cut(forMs)
  }

  /** A node has ended, and with it what it had received. @param restartsMs when it accepts connections again. */
  nodeEnded(master: Master, restartsMs: number): void {
    const connection = this.#connections.get(nameOf(master))?.redis
    connection?.serverEnded()
    const forMs = restartsMs - this.#scheduler.nowMs
    if (forMs > 0) connection?.cut(forMs)
  }

  hmget(key: string, ...fields: readonly string[]) {
    return this.#send(key, (server) => server.execute('HMGET', key, ...fields))
  }

  hdel(key: string, ...fields: readonly string[]) {
    return this.#send(key, (server) => server.execute('HDEL', key, ...fields))
  }

  sadd(key: string, ...members: readonly string[]) {
    return this.#send(key, (server) => server.execute('SADD', key, ...members))
  }

  srem(key: string, ...members: readonly string[]) {
    return this.#send(key, (server) => server.execute('SREM', key, ...members))
  }

  set(key: string, text: string) {
    return this.#send(key, (server) => server.execute('SET', key, text))
  }

  eval(source: string, keyCount: number, key: string, ...rest: readonly (string | number)[]) {
    const { name, sha } = knownScript(source)
    const texts = [key, ...rest.map(String)]
    const run: Run = (server) => {
      server.loadScript(name)
      return evaluateSha(server, sha, keyCount, texts)
    }
    return this.#send(key, run, isPromptScript(sha))
  }

  evalsha(sha: string, keyCount: number, key: string, ...rest: readonly (string | number)[]) {
    const texts = [key, ...rest.map(String)]
    return this.#send(key, (server) => evaluateSha(server, sha, keyCount, texts), isPromptScript(sha))
  }

  async #send(key: string, run: Run, isPrompt = false): Promise<RedisReply> {
    const slot = cachedSlot(key)
    let asked: string | undefined
    let isAnywhere = false
    for (let attempts = 1; ; attempts++) {
      const to = asked ?? (isAnywhere ? undefined : this.#routeOf(slot))
      const isAsking = asked !== undefined
      asked = undefined
      isAnywhere = false
      try {
        return await this.#sendTo(to, key, run, { isAsking, isPrompt })
      } catch (error) {
        const { message } = error as Error
        if (attempts >= MAX_ATTEMPTS)
          throw new Error(`Too many Cluster redirections. Last error: ${String(error)}`, { cause: error })
        const [code, , node = ''] = message.split(' ')
        if (code === 'MOVED') {
          this.#redirect(slot, node)
        } else if (code === 'ASK') {
          this.#connectTo(node)
          asked = node
        } else if (code === 'TRYAGAIN' || code === 'CLUSTERDOWN' || message === CLOSED) {
          if (code !== 'TRYAGAIN') this.#refresh()
          await this.#sleep(RETRY_DELAY_MS)
          isAnywhere = true
        } else throw error
      }
    }
  }

  async #sendTo(
    to: string | undefined,
    key: string,
    run: Run,
    { isAsking, isPrompt }: { readonly isAsking: boolean; readonly isPrompt: boolean },
  ): Promise<RedisReply> {
    const found = to === undefined ? undefined : this.#connections.get(to)
    const connection = found ?? this.#random.pick([...this.#connections.values()])
    if (connection.redis.status !== 'ready') throw new Error(CLOSED)
    const { master, redis } = connection
    return await redis.send(
      (server) => this.#cluster.execute(master, key, isAsking, () => run(server)),
      isPrompt,
    )
  }

  #routeOf(slot: number): string | undefined {
    const range = this.slots[slot] ?? []
    return this.#redirected.get(range) ?? range[0]
  }

  /** ioredis keeps one list for a range of slots: the redirection of one changes all of them. */
  #redirect(slot: number, node: string): void {
    const range = this.slots[slot]
    if (range !== undefined) this.#redirected.set(range, node)
    this.#connectTo(node)
    this.#refresh()
  }

  #scheduleRefresh(): void {
    const next = () => {
      if (this.#isClosed) return
      this.#refresh()
      this.#scheduleRefresh()
    }
    this.#scheduler.after(REFRESH_INTERVAL_MS, next, this.#owner)
  }

  /** Asks one node after the other. */
  #refresh(): void {
    if (this.#isRefreshing) return
    const connections = [...this.#connections.values()].filter(({ redis }) => redis.status === 'ready')
    if (connections.length === 0) return
    this.#isRefreshing = true
    const { master } = this.#random.pick(connections)
    const isSilent = master.redis.hungUntilMs > this.#scheduler.nowMs
    const takesMs = isSilent ? REFRESH_TIMEOUT_MS : this.#random.fraction() * SLOWEST_REFRESH_MS
    const toldAge = this.#random.fraction() * LONGEST_GOSSIP_MS
    const told = () => {
      this.#isRefreshing = false
      if (isSilent) return this.#refresh()
      if (this.#scheduler.nowMs < this.cutOffUntilMs) return
      this.#follow(this.#cluster.topologyAt(this.#scheduler.nowMs - toldAge))
    }
    this.#scheduler.after(takesMs, told, this.#owner)
  }

  #follow(topology: Topology): void {
    if (topology === this.#topology && this.#redirected.size === 0) return
    this.#topology = topology
    this.#redirected.clear()
    this.slots = slotsOf(topology)
    this.#connect()
    for (const listener of this.#refreshed) listener()
  }

  /** To the masters that own slots, and to no others. */
  #connect(): void {
    const wanted = slotHolders(this.#topology)
    const names = new Set(wanted.map(nameOf))
    for (const [name, { redis }] of this.#connections) {
      if (names.has(name)) continue
      redis.leave()
      this.#connections.delete(name)
    }
    for (const master of wanted) this.#connectTo(nameOf(master))
  }

  #connectTo(name: string): void {
    if (this.#connections.has(name)) return
    const master = this.#cluster.masterNamed(name)
    const redis = new SimulatedRedisClient(master.redis, this.#scheduler, this.#random, master.host)
    this.#connections.set(name, { master, redis })
    const downMs = master.downUntilMs - this.#scheduler.nowMs
    if (downMs > 0) redis.cut(downMs)
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#scheduler.after(ms, resolve))
  }
}

export function nameOf({ host }: Master): string {
  return `${host}:6379`
}

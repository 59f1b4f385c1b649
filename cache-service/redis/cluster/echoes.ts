import type { Cluster, Redis } from 'ioredis'
import { nodeName } from '../../../shared/redis-client/cluster-nodes.ts'

/** An echo arrives within milliseconds. */
const LATE_AFTER_MS = 3_000

export type EchoDependencies = {
  readonly cluster: Cluster
  /** A connection that subscribes, to one node. */
  readonly subscriber: Redis
  /** Of this process alone. */
  readonly channel: string
  readonly monotonicNow: () => number
}

/**
 * What is published on one node of a Cluster reaches the subscribers of all others, unless theirs is cut off from them or was removed
 * from the Cluster: it answers, but nothing arrives. So a message is published on each of the other masters in turn, and must
 * arrive.
 */
export class Echoes {
  readonly #dependencies: EchoDependencies
  /** By master: the last message that was published there, and whether it is late. */
  readonly #awaited = new Map<
    string,
    { readonly message: string; readonly sentMs: number; isLate: boolean }
  >()
  #sent = 0

  constructor(dependencies: EchoDependencies) {
    this.#dependencies = dependencies
  }

  get channel(): string {
    return this.#dependencies.channel
  }

  /** To be called for each new subscription. */
  reset(): void {
    this.#awaited.clear()
  }

  received(message: string): void {
    for (const [name, awaited] of this.#awaited) if (awaited.message === message) this.#awaited.delete(name)
  }

  /**
   * Publishes the next message. Returns false if those of most masters have not arrived: of a single one, that master may be the
   * one that is cut off.
   */
  next(): boolean {
    const { cluster, monotonicNow, subscriber } = this.#dependencies
    const now = monotonicNow()
    const others = cluster.nodes('master').filter((node) => nodeName(node) !== nodeName(subscriber))
    const names = new Set(others.map(nodeName))
    let late = 0
    for (const [name, awaited] of this.#awaited) {
      awaited.isLate ||= now - awaited.sentMs >= LATE_AFTER_MS
      if (!names.has(name)) this.#awaited.delete(name)
      else if (awaited.isLate) late++
    }
    if (late > others.length / 2) return false
    const next = others[++this.#sent % others.length]
    if (next !== undefined) void this.#publish(next, now)
    return true
  }

  async #publish(node: Redis, sentMs: number): Promise<void> {
    const name = nodeName(node)
    const isLate = this.#awaited.get(name)?.isLate ?? false
    const message = `${name} ${this.#sent}`
    this.#awaited.set(name, { message, sentMs, isLate })
    // A node that can't be reached says nothing about the subscriber's.
    await node.publish(this.channel, message).catch(() => this.received(message))
  }
}

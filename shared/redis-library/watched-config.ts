import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigSnapshot } from './config-history.ts'
import { messageOf } from '../errors.ts'
import type { ProblemListener } from './connection.ts'
import { RedisConnectionError, redisFailure, RedisServiceError } from './errors.ts'

export type ConfigChange = {
  readonly key: string
  /** What was done to the key, in Redis's words; or `resumed`. */
  readonly event: string
  /** 0: there is none any more. */
  readonly version: number
  /** The newest value as JSON; null: there is none. */
  readonly text: string | null
}

export type ConfigListener = (change: ConfigChange) => void | Promise<void>

export type WatchedConfigDependencies = {
  readonly redisKey: string
  readonly key: string
  /** Must send its command before it returns: then later calls see later states. */
  readonly read: () => Promise<ConfigSnapshot>
  /** Whether every change to the key is heard of now. */
  readonly isHeard: () => boolean
  readonly problem: ProblemListener
}

type HeardEvent = { readonly event: string; readonly number: number }

const RETRY_MS = 1_000
const MAX_WAITING_EVENTS = 1_000

/**
 * The local copy of one config, and who wants to know when it changes.
 *
 * Redis answers one connection in order, so every read and write takes a ticket when it is sent, and an answer
 * never replaces that of a later ticket. The copy is fresh if it was read after the last thing heard of the key.
 */
export class WatchedConfig {
  readonly redisKey: string
  readonly #dependencies: WatchedConfigDependencies
  /** Each with the number of the last event that it is not told of. */
  readonly #listeners = new Set<{ tell: ConfigListener; after: number }>()
  readonly #ended = new AbortController()
  #snapshot: ConfigSnapshot | undefined
  /** What the listeners heard last. */
  #told: ConfigSnapshot | undefined
  #lastTicket = 0
  #shownTicket = 0
  #staleUpToTicket = 0
  #lastEvent = 0
  #waitingEvents: HeardEvent[] = []
  #isTelling = false

  constructor(dependencies: WatchedConfigDependencies) {
    this.redisKey = dependencies.redisKey
    this.#dependencies = dependencies
  }

  get snapshot(): ConfigSnapshot | undefined {
    return this.#snapshot
  }

  get isFresh(): boolean {
    return this.#shownTicket > this.#staleUpToTicket && this.#dependencies.isHeard()
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0
  }

  /** Keeps a place for a listener. It is told of what is heard after `start`, until `stop`. */
  add(tell: ConfigListener): { start(): void; stop(): void } {
    const listener = { tell, after: Infinity }
    this.#listeners.add(listener)
    return {
      start: () => void (listener.after = this.#lastEvent),
      stop: () => {
        this.#listeners.delete(listener)
        if (this.#listeners.size === 0) this.#told = undefined
      },
    }
  }

  /** Reads it. Rejects as `read` does. */
  async refresh(): Promise<ConfigSnapshot> {
    const read = async () => ({ snapshot: await this.#dependencies.read() })
    return (await this.write(read)).snapshot
  }

  /** What the action found, or left, in Redis is the new copy. The action must send its command before it returns. */
  async write<Outcome extends { readonly snapshot: ConfigSnapshot }>(
    action: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const ticket = ++this.#lastTicket
    const isHeard = this.#dependencies.isHeard()
    const outcome = await action()
    if (!isHeard) this.#staleUpToTicket = Math.max(this.#staleUpToTicket, ticket)
    if (ticket > this.#shownTicket) {
      this.#shownTicket = ticket
      this.#snapshot = outcome.snapshot
    }
    if (this.isWatched) this.#told ??= outcome.snapshot
    return outcome
  }

  /** Something was done to the key: it is read again, and the listeners are told. */
  changed(event: string): void {
    this.#staleUpToTicket = this.#lastTicket
    this.#waitingEvents.push({ event, number: ++this.#lastEvent })
    if (this.#waitingEvents.length > MAX_WAITING_EVENTS) this.#waitingEvents.shift()
    if (!this.#isTelling) void this.#tellAll()
  }

  /** Nobody is told anything any more. */
  end(): void {
    this.#listeners.clear()
    this.#waitingEvents = []
    this.#ended.abort()
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true
    while (this.#waitingEvents.length > 0) {
      const events = this.#waitingEvents
      this.#waitingEvents = []
      try {
        const snapshot = await this.refresh()
        for (const event of events) this.#tell(event, this.#snapshot ?? snapshot)
      } catch (error) {
        if (this.#ended.signal.aborted) break
        this.#dependencies.problem(redisFailure(error, `reading ${this.#dependencies.key}`))
        if (!(error instanceof RedisConnectionError)) continue // a list that has become a hash, say
        this.#waitingEvents = [...events, ...this.#waitingEvents]
        await sleep(RETRY_MS, undefined, { signal: this.#ended.signal }).catch(() => undefined)
      }
    }
    this.#isTelling = false
  }

  #tell({ event, number }: HeardEvent, snapshot: ConfigSnapshot): void {
    const isNews =
      event !== 'resumed' || this.#told?.version !== snapshot.version || this.#told.text !== snapshot.text
    if (!isNews) return
    this.#told = snapshot
    const change: ConfigChange = { key: this.#dependencies.key, event, ...snapshot }
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener) && number > listener.after) void this.#call(listener.tell, change)
    }
  }

  async #call(tell: ConfigListener, change: ConfigChange): Promise<void> {
    try {
      await tell(change)
    } catch (cause) {
      const what = `a listener of ${change.key} failed: ${messageOf(cause)}`
      this.#dependencies.problem(new RedisServiceError(what, { cause }))
    }
  }
}

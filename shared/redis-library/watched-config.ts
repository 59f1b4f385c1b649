import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigSnapshot } from './config-history.ts'
import { messageOf } from '../errors.ts'
import type { ProblemListener } from './connection.ts'
import { RedisConnectionError, redisFailure, RedisServiceError } from './errors.ts'

export type ConfigChange = {
  readonly key: string
  /**
   * The name that Redis gives to the change, such as `rpush`; or `resumed`, after an outage; or `changed`, in a Cluster that does
   * not report changes.
   */
  readonly event: string
  /** 0: the config no longer exists. */
  readonly version: number
  /** The newest value as JSON; null: the config no longer exists. */
  readonly text: string | null
}

export type ConfigListener = (change: ConfigChange) => void | Promise<void>

export type WatchedConfigDependencies = {
  readonly redisKey: string
  readonly key: string
  /** Must send its command before it returns, so that later calls see later states. */
  readonly read: () => Promise<ConfigSnapshot>
  /** Whether every change to the key is being received at this moment. */
  readonly isObserved: () => boolean
  readonly problem: ProblemListener
  /** Resolves when all events that Redis has sent so far have been received. */
  readonly caughtUp: () => Promise<void>
  /** Events of this name are reported only if the config has changed. */
  readonly isCompared: (event: string) => boolean
  /** Called when the listeners have been notified of all changes so far. */
  readonly settled: () => void
}

type NumberedEvent = {
  readonly event: string
  readonly number: number
  /** It may be the last change again: reported only if the config has changed. */
  readonly mayBeKnown: boolean
}

const RETRY_MS = 1_000
const MAX_PENDING_EVENTS = 1_000

/**
 * The local copy of one config, and its listeners.
 *
 * Redis answers the commands of a connection in order. Every read and write therefore takes a ticket when it is sent,
 * and its reply never replaces the reply for a later ticket. The copy is fresh if it was read after the last change
 * that was reported for the key.
 */
export class WatchedConfig {
  readonly redisKey: string
  readonly #dependencies: WatchedConfigDependencies
  /** Each with the number of the last event that is not reported to it. */
  readonly #listeners = new Set<{ notify: ConfigListener; after: number }>()
  readonly #ended = new AbortController()
  /** Calls of the store that use this copy at the moment. */
  users = 0
  #snapshot: ConfigSnapshot | undefined
  /** What was last reported to the listeners. */
  #lastReported: ConfigSnapshot | undefined
  #lastTicket = 0
  #shownTicket = 0
  #staleUpToTicket = 0
  #lastEvent = 0
  #pendingEvents: NumberedEvent[] = []
  #isNotifying = false

  constructor(dependencies: WatchedConfigDependencies) {
    this.redisKey = dependencies.redisKey
    this.#dependencies = dependencies
  }

  get snapshot(): ConfigSnapshot | undefined {
    return this.#snapshot
  }

  get isFresh(): boolean {
    return this.#shownTicket > this.#staleUpToTicket && this.#dependencies.isObserved()
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0
  }

  /** Registers a listener. It receives the changes that are reported after `start` and before `stop`. */
  add(notify: ConfigListener): { start(): void; stop(): void } {
    const listener = { notify, after: Infinity }
    this.#listeners.add(listener)
    return {
      start: () => void (listener.after = this.#lastEvent),
      stop: () => {
        this.#listeners.delete(listener)
        if (this.#listeners.size === 0) this.#lastReported = undefined
      },
    }
  }

  /** Reads the config. Rejects as `read` does. */
  async refresh(): Promise<ConfigSnapshot> {
    const read = async () => ({ snapshot: await this.#dependencies.read() })
    return (await this.write(read)).snapshot
  }

  /**
   * Runs an action; what it found or left in Redis becomes the new copy. The action must send its command before it
   * returns.
   */
  async write<Outcome extends { readonly snapshot: ConfigSnapshot }>(
    action: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const ticket = ++this.#lastTicket
    const isObserved = this.#dependencies.isObserved()
    const outcome = await action()
    if (!isObserved) this.#staleUpToTicket = Math.max(this.#staleUpToTicket, ticket)
    if (ticket > this.#shownTicket) {
      this.#shownTicket = ticket
      this.#snapshot = outcome.snapshot
    }
    if (this.isWatched) this.#lastReported ??= outcome.snapshot
    return outcome
  }

  /** Called when the key has changed: reads it again and notifies the listeners. @param mayBeKnown it may be the last change again. */
  changed(event: string, mayBeKnown = false): void {
    this.#staleUpToTicket = this.#lastTicket
    this.#pendingEvents.push({ event, number: ++this.#lastEvent, mayBeKnown })
    if (this.#pendingEvents.length > MAX_PENDING_EVENTS) this.#pendingEvents.shift()
    if (!this.#isNotifying) void this.#notifyAll()
  }

  /** Removes all listeners. */
  end(): void {
    this.#listeners.clear()
    this.#pendingEvents = []
    this.#ended.abort()
  }

  async #notifyAll(): Promise<void> {
    this.#isNotifying = true
    while (this.#pendingEvents.length > 0) {
      const events = this.#pendingEvents
      this.#pendingEvents = []
      try {
        const snapshot = await this.refresh()
        // What a compared event finds changed may have an event of its own, which is on the way.
        if (
          events.every(({ event }) => this.#dependencies.isCompared(event)) &&
          this.#isNews(this.#snapshot ?? snapshot)
        )
          await this.#dependencies.caughtUp().catch(() => undefined)
        for (const event of events) this.#report(event, this.#snapshot ?? snapshot)
      } catch (error) {
        if (this.#ended.signal.aborted) break
        this.#dependencies.problem(redisFailure(error, `Cannot read ${this.#dependencies.key}`))
        if (!(error instanceof RedisConnectionError)) continue // for example, the list has become a hash
        this.#pendingEvents = [...events, ...this.#pendingEvents]
        await sleep(RETRY_MS, undefined, { signal: this.#ended.signal }).catch(() => undefined)
      }
    }
    this.#isNotifying = false
    if (!this.#ended.signal.aborted) this.#dependencies.settled()
  }

  #report({ event, mayBeKnown, number }: NumberedEvent, snapshot: ConfigSnapshot): void {
    const { isCompared } = this.#dependencies
    if ((mayBeKnown || isCompared(event)) && !this.#isNews(snapshot)) return
    if (isCompared(event) && this.#pendingEvents.some((other) => !isCompared(other.event))) return
    this.#lastReported = snapshot
    const change: ConfigChange = { key: this.#dependencies.key, event, ...snapshot }
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener) && number > listener.after) void this.#call(listener.notify, change)
    }
  }

  #isNews(snapshot: ConfigSnapshot): boolean {
    return this.#lastReported?.version !== snapshot.version || this.#lastReported.text !== snapshot.text
  }

  async #call(notify: ConfigListener, change: ConfigChange): Promise<void> {
    try {
      await notify(change)
    } catch (cause) {
      const message = `A listener for ${change.key} failed: ${messageOf(cause)}`
      this.#dependencies.problem(new RedisServiceError(message, { cause }))
    }
  }
}

import type { Redis } from 'ioredis'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import { OperatorError, type Service } from '../../lifecycle/service.ts'
import { operatorHint } from '../../core/operator-hint.ts'

export type SubscriptionTelemetry = {
  /** @param gapMs since the last subscription was lost; undefined: it is the first. */
  subscribed(channel: string, gapMs: number | undefined): void
  /** From now on messages are missed. */
  subscriptionLost(channel: string): void
  subscribeFailed(channel: string, error: ServiceError): void
}

export type SubscriptionDependencies = {
  /** A connection of its own: whoever subscribes can do nothing else on it. */
  readonly redis: Redis
  readonly channel: string
  readonly received: (message: Uint8Array) => void
  readonly telemetry: SubscriptionTelemetry
  readonly monitor: LoopMonitor
  readonly now: () => number
}

/** How often the connection is asked for a sign of life: nothing else tells a silent channel from a dead peer. */
const CHECK_INTERVAL_MS = 1_000

/**
 * One channel, for ever: after every loss of the connection it subscribes anew, at once when there is a new
 * one. What is published in between is lost to it, and it says so, once a loss.
 */
export class ChannelSubscription {
  readonly #dependencies: SubscriptionDependencies
  #isSubscribed = false
  #hasEverSubscribed = false
  #lostAtMs: number | undefined
  #subscribing: Promise<void> | undefined
  #lastError: ServiceError | undefined

  constructor(dependencies: SubscriptionDependencies) {
    this.#dependencies = dependencies
    const { redis, received } = dependencies
    // It would be silent about the gap.
    redis.options.autoResubscribe = false
    redis.on('messageBuffer', (_channel: Buffer, message: Buffer) => received(message))
    redis.on('close', () => this.#lost())
    // It has been spoken of; here it is the reason why we are not ready.
    redis.on('error', (error) => (this.#lastError = redisError(error)))
    redis.on('ready', () => void this.#subscribe().catch(() => undefined)) // the loop speaks of it
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed
  }

  notReadyReasons(): string[] {
    if (this.#isSubscribed) return []
    const { channel } = this.#dependencies
    const why = this.#lastError === undefined ? 'not tried yet' : this.#lastError.message
    return [`not subscribed to ${channel}: ${why}`]
  }

  /** Rejects with an OperatorError if Redis refuses us before it ever let us subscribe. */
  service(): Service {
    const { monitor, redis } = this.#dependencies
    return createLoop({
      name: 'subscription',
      everyMs: CHECK_INTERVAL_MS,
      monitor,
      turn: async () => {
        if (this.#isSubscribed) await redis.ping()
        else if (redis.status === 'ready') await this.#subscribe()
        else this.#assertMayWork()
      },
      failed: (error) => {
        if (error instanceof OperatorError) throw error
        this.#failed(redisError(error))
      },
    })
  }

  /** No message is received after it. */
  async close(): Promise<void> {
    const { channel, redis } = this.#dependencies
    redis.removeAllListeners('messageBuffer')
    const wasSubscribed = this.#isSubscribed
    this.#isSubscribed = false
    if (wasSubscribed) await redis.unsubscribe(channel).catch(() => undefined) // then it is gone anyway
  }

  async #subscribe(): Promise<void> {
    this.#subscribing ??= this.#trySubscribe().finally(() => (this.#subscribing = undefined))
    await this.#subscribing
  }

  async #trySubscribe(): Promise<void> {
    const { channel, telemetry, now, redis } = this.#dependencies
    await redis.subscribe(channel)
    if (this.#isSubscribed) return
    this.#isSubscribed = true
    this.#hasEverSubscribed = true
    this.#lastError = undefined
    telemetry.subscribed(channel, this.#lostAtMs === undefined ? undefined : now() - this.#lostAtMs)
    this.#lostAtMs = undefined
  }

  #lost(): void {
    if (!this.#isSubscribed) return
    this.#isSubscribed = false
    const { channel, telemetry, now } = this.#dependencies
    this.#lostAtMs = now()
    telemetry.subscriptionLost(channel)
  }

  #failed(error: ServiceError): void {
    this.#lastError = error
    this.#assertMayWork()
    this.#dependencies.telemetry.subscribeFailed(this.#dependencies.channel, error)
  }

  #assertMayWork(): void {
    const error = this.#lastError
    if (error?.failureClass === 'operator' && !this.#hasEverSubscribed)
      throw new OperatorError(operatorHint(error))
  }
}

import type { Redis } from 'ioredis'
import { clearerFailure, redisError, type ServiceError } from '../../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import { OperatorError, type Service } from '../../lifecycle/service.ts'
import { failureText, operatorHint } from '../../core/operator-hint.ts'
import type { NotReadyReason } from '../../lifecycle/readiness.ts'
import { serverName } from '../client.ts'
import { haveNeverWorked } from '../refused-settings.ts'
import type { Echoes } from '../cluster/echoes.ts'

export type SubscriptionTelemetry = {
  /** @param gapMs time since the previous subscription was lost; undefined: this is the first one. */
  subscribed(channel: string, gapMs: number | undefined): void
  /** Messages that are published from now on are missed. */
  subscriptionLost(channel: string): void
  /** The subscription is given up, because messages that are published elsewhere in the Cluster do not arrive. */
  cutOff(where: string): void
  subscribeFailed(channel: string, error: ServiceError): void
}

export type SubscriptionDependencies = {
  /** A dedicated connection: a subscribed connection accepts no other commands. */
  readonly redis: Redis
  readonly channel: string
  /** Of a node of a Cluster: proves that it still receives what is published on the others. */
  readonly echoes?: Echoes | undefined
  readonly received: (message: Buffer) => void
  readonly telemetry: SubscriptionTelemetry
  readonly monitor: LoopMonitor
  readonly monotonicNow: () => number
}

/** How often the connection is pinged: nothing else distinguishes a silent channel from a dead server. */
const CHECK_INTERVAL_MS = 1_000

/**
 * Stays subscribed to one channel: after the connection is lost, it subscribes again as soon as there is a new one.
 * Messages published in between are missed; this is reported once per loss.
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
    const { echoes, redis, received } = dependencies
    // ioredis would subscribe again without reporting the gap.
    redis.options.autoResubscribe = false
    redis.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      if (echoes !== undefined && channel.toString() === echoes.channel) echoes.received(message.toString())
      else received(message)
    })
    redis.on('close', () => this.#lost())
    // Already logged by the client; kept as the reason for not being ready.
    redis.on('error', (error) => (this.#lastError = clearerFailure(this.#lastError, redisError(error))))
    redis.on('ready', () => void this.#subscribe().catch(() => undefined)) // the loop retries and reports it
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed
  }

  notReadyReasons(): NotReadyReason[] {
    if (this.#isSubscribed) return []
    const { channel } = this.#dependencies
    const reason = this.#lastError === undefined ? 'no attempt yet' : failureText(this.#lastError)
    return [`not subscribed to ${channel}: ${reason}`]
  }

  /** Rejects with an OperatorError if Redis denies access before the first subscription has succeeded. */
  service(): Service {
    const { monitor, redis } = this.#dependencies
    return createLoop({
      name: 'subscription',
      everyMs: CHECK_INTERVAL_MS,
      monitor,
      turn: async () => {
        if (this.#isSubscribed) await this.#check()
        else if (redis.status === 'ready') await this.#subscribe()
        else this.#assertMayRetry()
      },
      failed: (error) => {
        if (error instanceof OperatorError) throw error
        this.#failed(redisError(error))
      },
    })
  }

  /** Resolves when every message that has been published before has been received. Rejects if the connection is lost. */
  async receivedAll(): Promise<void> {
    // On one connection, messages and replies arrive in their order.
    await this.#dependencies.redis.ping()
  }

  /** After this, no message is received. */
  async close(): Promise<void> {
    const { redis } = this.#dependencies
    redis.removeAllListeners('messageBuffer')
    const wasSubscribed = this.#isSubscribed
    this.#isSubscribed = false
    // Without a connection there is no subscription either.
    if (wasSubscribed) await redis.unsubscribe().catch(() => undefined)
  }

  async #check(): Promise<void> {
    const { echoes, redis, telemetry } = this.#dependencies
    await redis.ping()
    if (echoes === undefined || echoes.next()) return
    telemetry.cutOff(serverName(redis))
    // It reconnects, to the next node.
    redis.disconnect(true)
  }

  async #subscribe(): Promise<void> {
    this.#subscribing ??= this.#trySubscribe().finally(() => (this.#subscribing = undefined))
    await this.#subscribing
  }

  async #trySubscribe(): Promise<void> {
    const { channel, echoes, telemetry, monotonicNow, redis } = this.#dependencies
    echoes?.reset()
    await redis.subscribe(channel, ...(echoes === undefined ? [] : [echoes.channel]))
    if (this.#isSubscribed) return
    this.#isSubscribed = true
    this.#hasEverSubscribed = true
    this.#lastError = undefined
    telemetry.subscribed(channel, this.#lostAtMs === undefined ? undefined : monotonicNow() - this.#lostAtMs)
    this.#lostAtMs = undefined
  }

  #lost(): void {
    if (!this.#isSubscribed) return
    this.#isSubscribed = false
    const { channel, telemetry, monotonicNow } = this.#dependencies
    this.#lostAtMs = monotonicNow()
    telemetry.subscriptionLost(channel)
  }

  #failed(error: ServiceError): void {
    this.#lastError = clearerFailure(this.#lastError, error)
    this.#assertMayRetry()
    this.#dependencies.telemetry.subscribeFailed(this.#dependencies.channel, error)
  }

  #assertMayRetry(): void {
    const error = this.#lastError
    if (error !== undefined && haveNeverWorked(this.#dependencies.redis, error, this.#hasEverSubscribed))
      throw new OperatorError(operatorHint(error))
  }
}

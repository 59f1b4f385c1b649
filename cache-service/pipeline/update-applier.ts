import { isDeepStrictEqual } from 'node:util'
import { redisError, type ServiceError } from '../../shared/errors.ts'
import { parseKvUpdate, type KvUpdate } from '../core/events/kv-update.ts'
import type { GapReason } from '../core/events/stream-entry.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import type { Service } from '../lifecycle/service.ts'
import type { Lease } from '../redis/lease.ts'
import type { StateWriter } from '../redis/events/state-writer.ts'

export type UpdateApplierTelemetry = {
  notJson(bytes: number): void
  invalidUpdate(type: string | undefined, detail: string): void
  protectedUpdate(type: string): void
  updateApplied(type: string, isAppended: boolean): void
  updateValidated(type: string): void
  updateMismatched(type: string): void
  updateFailed(type: string, error: ServiceError): void
  updateDropped(pending: number): void
  eventRefused(type: string, error: string): void
  leaseTaken(): void
  leaseLost(): void
  gapAppended(reason: GapReason): void
  loopFailed(loop: string, error: unknown): void
}

export type UpdateApplierDependencies = {
  readonly writer: StateWriter
  readonly lease: Lease
  /** Without a subscription this process receives no updates, and must not hold the lease. */
  readonly isSubscribed: () => boolean
  readonly isProtected: (key: string) => boolean
  /** Reads every value back and compares it. */
  readonly validate: boolean
  readonly telemetry: UpdateApplierTelemetry
  readonly monitor: LoopMonitor
}

/** The time after which the lease of a dead holder expires. A live holder extends it three times as often. */
export const UPDATER_LEASE_MS = 9_000
const RENEW_INTERVAL_MS = UPDATER_LEASE_MS / 3

/** Bounds for the messages that wait while Redis is slow. Beyond them, new messages are dropped. */
const MAX_PENDING = 10_000
const MAX_PENDING_BYTES = 64 * 1024 * 1024

/**
 * Writes the messages of the update channel to Redis as values, one at a time, in the order in which they arrived.
 *
 * Every updater sets every value. Only the holder of the lease appends the update to the stream, in the same atomic
 * step, so that each update is in the stream once. Whenever the stream may have missed an update (another process held
 * the lease, the subscription was lost, Redis failed), a gap is *owed*: it is appended before anything else.
 */
export class UpdateApplier {
  readonly #dependencies: UpdateApplierDependencies
  /** The last task. Tasks run one at a time. It never rejects. */
  #tail: Promise<void> = Promise.resolve()
  #pending = 0
  #pendingBytes = 0
  #isHolder = false
  #gapOwed: GapReason | undefined
  #isClosing = false
  /** Redis failed while this was closing: the remaining messages are dropped rather than waited for. */
  #hasGivenUp = false

  constructor(dependencies: UpdateApplierDependencies) {
    this.#dependencies = dependencies
  }

  received(message: Uint8Array): void {
    const { telemetry } = this.#dependencies
    if (this.#pending >= MAX_PENDING || this.#pendingBytes + message.length > MAX_PENDING_BYTES) {
      this.#gapOwed ??= 'overflow'
      telemetry.updateDropped(this.#pending)
      return
    }
    this.#pending++
    this.#pendingBytes += message.length
    void this.#enqueue(async () => {
      try {
        if (this.#hasGivenUp) telemetry.updateDropped(this.#pending)
        else await this.#apply(message)
      } finally {
        this.#pending--
        this.#pendingBytes -= message.length
      }
    })
  }

  subscriptionLost(): void {
    this.#gapOwed ??= 'subscription_lost'
  }

  /** Tries to take the lease immediately rather than at the next interval. */
  subscribed(): void {
    void this.#enqueue(() => this.#keepLease())
  }

  /** Extends the lease, or takes it when it becomes free. */
  service(): Service {
    return createLoop({
      name: 'updater lease',
      everyMs: RENEW_INTERVAL_MS,
      monitor: this.#dependencies.monitor,
      turn: () => this.#enqueue(() => this.#keepLease()),
      failed: (error) => this.#dependencies.telemetry.loopFailed('updater lease', error),
    })
  }

  /** Applies the messages received so far, unless Redis fails, and then releases the lease. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#tail
    // Best effort: without Redis, the lease expires by itself.
    if (this.#isHolder) await this.#dependencies.lease.release().catch(() => undefined)
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(task)
    this.#tail = done.catch((error: unknown) => this.#dependencies.telemetry.loopFailed('updates', error))
    return this.#tail
  }

  async #apply(message: Uint8Array): Promise<void> {
    const { telemetry, isProtected } = this.#dependencies
    const parsed = parseKvUpdate(message, isProtected)
    switch (parsed.kind) {
      case 'not_json':
        return telemetry.notJson(message.length)
      case 'invalid':
        return telemetry.invalidUpdate(parsed.type, parsed.detail)
      case 'protected':
        return telemetry.protectedUpdate(parsed.type)
      case 'update':
        return await this.#write(parsed.update)
    }
  }

  async #write(update: KvUpdate): Promise<void> {
    const { telemetry, validate, writer } = this.#dependencies
    const gap = this.#gapOwed
    try {
      const written = await writer.write(update, gap, validate)
      if (written.isAppended) this.#settleGap(gap)
      if (written.streamError !== undefined) {
        this.#gapOwed ??= 'redis_failed'
        telemetry.eventRefused(update.type, written.streamError)
      }
      if (validate && !isSameJson(written.readBack, update.value))
        return telemetry.updateMismatched(update.type)
      telemetry.updateApplied(update.type, written.isAppended)
      if (validate) telemetry.updateValidated(update.type)
    } catch (error) {
      // The value may have been set and the update appended, or not.
      this.#gapOwed ??= 'redis_failed'
      this.#hasGivenUp = this.#isClosing
      telemetry.updateFailed(update.type, redisError(error))
    }
  }

  async #keepLease(): Promise<void> {
    const { telemetry, isSubscribed, lease, writer } = this.#dependencies
    if (this.#isClosing || !isSubscribed()) return
    const wasHolder = await writer.isHolder()
    if (!(await lease.acquire())) {
      if (this.#isHolder) telemetry.leaseLost()
      this.#isHolder = false
      return
    }
    if (!this.#isHolder) telemetry.leaseTaken()
    this.#isHolder = true
    // Also if our own lease had expired: another process may have held it in between.
    if (!wasHolder) this.#gapOwed ??= 'takeover'
    const gap = this.#gapOwed
    if (gap !== undefined && (await writer.appendGap(gap))) this.#settleGap(gap)
  }

  #settleGap(gap: GapReason | undefined): void {
    if (gap === undefined) return
    this.#gapOwed = undefined
    this.#dependencies.telemetry.gapAppended(gap)
  }
}

function isSameJson(readBack: string | undefined, written: string): boolean {
  if (readBack === written) return true
  if (readBack === undefined) return false
  try {
    return isDeepStrictEqual(JSON.parse(readBack), JSON.parse(written))
  } catch {
    return false
  }
}

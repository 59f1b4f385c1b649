import { isDeepStrictEqual } from 'node:util'
import { redisError, type ServiceError } from '../../shared/errors.ts'
import { parseKvUpdate, type KvUpdate } from '../core/events/kv-update.ts'
import { FIRST_DUTY, nextDuty, type AppendDuty, type DutyInput } from '../core/events/append-duty.ts'
import type { GapReason } from '../core/events/stream-entry.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import type { Service } from '../lifecycle/service.ts'
import type { Lease } from '../redis/lease.ts'
import type { StateWriter, StateWritten } from '../redis/events/state-writer.ts'

export type UpdateApplierTelemetry = {
  notJson(bytes: number): void
  invalidUpdate(type: string | undefined, detail: string): void
  protectedUpdate(type: string): void
  updateApplied(type: string, isAppended: boolean): void
  updateValidated(type: string): void
  updateMismatched(type: string): void
  updateFailed(type: string, error: ServiceError): void
  updateDropped(pending: number): void
  eventRefused(type: string, error: ServiceError): void
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
  /** Resolves when every message that has been published before has been passed to `received`. */
  readonly receivedAll: () => Promise<void>
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
 * Every updater sets every value. Only the holder of the lease appends the update to the stream, after its value, so
 * that each update is in the stream once. What it owes when the stream may have missed an update is decided by
 * core/events/append-duty.ts, whose inputs occur here in the order of the queue.
 */
export class UpdateApplier {
  readonly #dependencies: UpdateApplierDependencies
  /** The last task. Tasks run one at a time. It never rejects. */
  #tail: Promise<void> = Promise.resolve()
  #pending = 0
  #pendingBytes = 0
  #duty: AppendDuty = FIRST_DUTY
  #wasSubscriptionLost = false
  /** The end of a run of dropped updates is in the queue already. */
  #isDropQueued = false
  #hasDroppedSince = false
  #isCatchingUp = false
  /** Resolves when the lease has been extended. undefined: it is not due. */
  #leaseDue: PromiseWithResolvers<void> | undefined
  #isClosing = false
  /** Redis failed while this was closing: the remaining messages are dropped rather than waited for. */
  #hasGivenUp = false

  constructor(dependencies: UpdateApplierDependencies) {
    this.#dependencies = dependencies
  }

  received(message: Buffer): void {
    const { telemetry } = this.#dependencies
    if (this.#pending >= MAX_PENDING || this.#pendingBytes + message.length > MAX_PENDING_BYTES) {
      this.#dropped()
      telemetry.updateDropped(this.#pending)
      return
    }
    this.#pending++
    this.#pendingBytes += message.length
    void this.#enqueue(async () => {
      try {
        // A lease that is due does not wait for the end of the queue: it would expire behind a burst.
        await this.#keepDueLease()
        if (this.#hasGivenUp) telemetry.updateDropped(this.#pending)
        else await this.#apply(message)
      } finally {
        this.#pending--
        this.#pendingBytes -= message.length
      }
    })
  }

  subscriptionLost(): void {
    this.#wasSubscriptionLost = true
  }

  /** Updates are received from now on. Tries to take the lease immediately rather than at the next interval. */
  subscribed(): void {
    const wasLost = this.#wasSubscriptionLost
    this.#wasSubscriptionLost = false
    void this.#enqueue(async () => {
      if (wasLost) this.#input({ kind: 'missed', reason: 'subscription_lost' })
      await this.#keepLease()
    })
  }

  /** Extends the lease, or takes it when it becomes free. */
  service(): Service {
    return createLoop({
      name: 'updater lease',
      everyMs: RENEW_INTERVAL_MS,
      monitor: this.#dependencies.monitor,
      turn: () => {
        this.#leaseDue ??= Promise.withResolvers()
        const { promise } = this.#leaseDue
        void this.#enqueue(() => this.#keepDueLease())
        return promise
      },
      failed: (error) => this.#dependencies.telemetry.loopFailed('updater lease', error),
    })
  }

  /** Applies the messages received so far, unless Redis fails, and then releases the lease. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#tail
    const { lease, writer } = this.#dependencies
    // Best effort: without Redis, the lease expires by itself.
    if (this.#duty.kind !== 'standby') await lease.release().catch(() => undefined)
    else if (this.#duty.hasLateValues) await writer.appendLateGap().catch(() => undefined)
  }

  #input(input: DutyInput): void {
    this.#duty = nextDuty(this.#duty, input)
  }

  /** The gap must stand behind what was received before. A long overflow has a gap once per length of the queue. */
  #dropped(): void {
    if (this.#isDropQueued) {
      this.#hasDroppedSince = true
      return
    }
    this.#isDropQueued = true
    void this.#enqueue(async () => {
      this.#isDropQueued = false
      this.#input({ kind: 'missed', reason: 'overflow' })
      if (this.#hasDroppedSince) this.#dropped()
      this.#hasDroppedSince = false
    })
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(task)
    this.#tail = done.catch((error: unknown) => this.#dependencies.telemetry.loopFailed('updates', error))
    return this.#tail
  }

  async #apply(message: Buffer): Promise<void> {
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
    const duty = this.#duty
    const gap = duty.kind === 'owing' ? duty.reason : undefined
    try {
      const written = await writer.write(update, gap, validate)
      this.#written(written, gap)
      if (written.streamError !== undefined) telemetry.eventRefused(update.type, written.streamError)
      if (validate && !isSameJson(written.readBack, update.value))
        return telemetry.updateMismatched(update.type)
      telemetry.updateApplied(update.type, written.isAppended)
      if (validate) telemetry.updateValidated(update.type)
    } catch (error) {
      // The value may have been set and the update appended, or not.
      this.#input({ kind: 'missed', reason: 'redis_failed' })
      this.#hasGivenUp = this.#isClosing
      telemetry.updateFailed(update.type, redisError(error))
    }
  }

  #written({ gaps, isAppended, streamError }: StateWritten, gap: GapReason | undefined): void {
    if (isAppended) {
      if (gap !== undefined) this.#gapAppended(gap)
      // The lease was taken by a command whose reply was lost.
      if (this.#duty.kind === 'standby') this.#input({ kind: 'lease_taken' })
    } else if (streamError !== undefined) {
      this.#input({ kind: 'missed', reason: 'redis_failed' })
      // In standby, it is unknown which gaps the value stands behind.
      if (this.#duty.kind === 'standby') this.#input({ kind: 'set_without_event', gaps: undefined })
      this.#hasGivenUp = this.#isClosing
    } else if (gaps !== undefined) {
      if (this.#duty.kind !== 'standby') this.#dependencies.telemetry.leaseLost()
      this.#input({ kind: 'set_without_event', gaps })
      this.#catchUp(gaps)
    }
  }

  async #keepDueLease(): Promise<void> {
    const due = this.#leaseDue
    if (due === undefined) return
    this.#leaseDue = undefined
    try {
      await this.#keepLease()
    } catch (error) {
      this.#dependencies.telemetry.loopFailed('updater lease', error)
    } finally {
      due.resolve()
    }
  }

  async #keepLease(): Promise<void> {
    const { telemetry, isSubscribed, lease, writer } = this.#dependencies
    if (this.#isClosing || !isSubscribed()) return
    if (writer.mayHaveLost()) this.#input({ kind: 'missed', reason: 'redis_failed' })
    const { gaps, isHolder } = await writer.standing()
    if (!(await lease.acquire())) {
      if (this.#duty.kind !== 'standby') telemetry.leaseLost()
      this.#input({ kind: 'lease_lost' })
      this.#catchUp(gaps)
      return
    }
    if (this.#duty.kind === 'standby') telemetry.leaseTaken()
    // Also if our own lease had expired: another process may have held it in between.
    if (this.#duty.kind === 'standby' || !isHolder) this.#input({ kind: 'lease_taken' })
    const duty = this.#duty
    if (duty.kind === 'owing' && (await writer.appendGap(duty.reason))) this.#gapAppended(duty.reason)
  }

  #gapAppended(reason: GapReason): void {
    this.#input({ kind: 'gap_appended' })
    this.#dependencies.telemetry.gapAppended(reason)
  }

  /**
   * Sets everything that was published before now, and then appends a gap if values were set without an event since a gap
   * that we have not seen. If it fails, the next value or the next check of the lease begins it again.
   */
  #catchUp(gaps: number): void {
    const duty = this.#duty
    if (duty.kind !== 'standby' || this.#isCatchingUp || this.#isClosing) return
    if (gaps === duty.gapsSeen && !duty.hasLateValues) return
    this.#isCatchingUp = true
    void this.#dependencies
      .receivedAll()
      .then(() => this.#enqueue(() => this.#caughtUp(gaps)))
      .catch(() => undefined)
      .finally(() => (this.#isCatchingUp = false))
  }

  async #caughtUp(gaps: number): Promise<void> {
    const duty = this.#duty
    if (duty.kind !== 'standby' || this.#isClosing) return
    if (duty.hasLateValues) {
      await this.#dependencies.writer.appendLateGap()
      this.#dependencies.telemetry.gapAppended('set_late')
    }
    this.#input({ kind: 'caught_up', gaps })
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

import type { Redis } from 'ioredis'
import { deviceIdOf, trackingKey } from '../../../shared/contract/keys.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import type { DeviceCache } from '../../core/devices/device-cache.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import { redisReply } from '../reply.ts'

export type ReadTrackingDependencies = {
  /** Its reads are tracked. It reads nothing but devices: Redis would report changes of all else, too. */
  readonly reading: Redis
  /** Receives what has changed. Used for nothing else. */
  readonly invalidations: Redis
  /** Any other connection. */
  readonly writing: Redis
  readonly cache: DeviceCache
  readonly processId: string
  readonly telemetry: { trackingReads(isTracking: boolean): void; trackingRefused(error: ServiceError): void }
  readonly monitor: LoopMonitor
  readonly monotonicNow: () => number
}

const PROOF_INTERVAL_MS = 500
/** A proof older than this says nothing about the present. */
const PROOF_VALID_MS = 2_000
const PROOF_TIMEOUT_MS = 1_000
const KEY_TTL_MS = 60_000
/** After Redis has refused: it lacks the command, or the permission. */
const RETRY_AFTER_REFUSAL_MS = 60_000
const INVALIDATIONS = '__redis__:invalidate'

/**
 * Lets Redis tell which devices have changed since they were read (CLIENT TRACKING), so that they can be cached here. The
 * changes arrive on a connection of their own (REDIRECT), which needs neither RESP3 nor anything of ioredis but
 * subscribing.
 *
 * off       Nothing is cached.
 *           Left: when both connections are there and Redis has accepted the commands, for unproven.
 * unproven  Reads are tracked, if Redis does what it says. A proxy in between may not.
 *           Left: by the first proof, for on; by a proof that fails, a connection that is lost, or an error, for off.
 * on        The cache may be used. Left like unproven.
 *
 * A proof reads a key on the tracked connection, changes it on another, and waits for the change to arrive. Changes arrive in
 * their order, so every change before the proof has arrived as well. Without a proof within 2 seconds the cache is not used:
 * this bounds how old a cached device can be, whatever happens to the network. Leaving clears the cache.
 */
type Mode =
  | { readonly kind: 'off'; readonly notBeforeMs: number }
  | { readonly kind: 'unproven' }
  | { readonly kind: 'on'; readonly provenMs: number }

export class ReadTracking {
  readonly #dependencies: ReadTrackingDependencies
  readonly #key: string
  #mode: Mode = { kind: 'off', notBeforeMs: 0 }
  #proofArrived: () => void = () => undefined

  constructor(dependencies: ReadTrackingDependencies) {
    this.#dependencies = dependencies
    this.#key = trackingKey(dependencies.processId)
    const { invalidations, reading } = dependencies
    // It subscribes here: the client id has to be asked for before.
    invalidations.options.autoResubscribe = false
    invalidations.on('messageBuffer', (_channel: Buffer, keys: unknown) => this.#changed(keys))
    for (const redis of [invalidations, reading]) redis.on('close', () => this.#leave(0))
  }

  /** Whether every change is reported to the cache. */
  get isOn(): boolean {
    const mode = this.#mode
    return mode.kind === 'on' && this.#dependencies.monotonicNow() - mode.provenMs < PROOF_VALID_MS
  }

  service(): Service {
    const { monitor, monotonicNow } = this.#dependencies
    return createLoop({
      name: 'read tracking',
      everyMs: PROOF_INTERVAL_MS,
      monitor,
      turn: async () => {
        const mode = this.#mode
        if (mode.kind === 'off' && (monotonicNow() < mode.notBeforeMs || !(await this.#begin()))) return
        await this.#prove()
      },
      failed: (error) => this.#failed(redisError(error)),
    })
  }

  /** Resolves with whether Redis tracks now. Rejects with a ServiceError. */
  async #begin(): Promise<boolean> {
    const { invalidations, reading } = this.#dependencies
    if (reading.status !== 'ready' || invalidations.status !== 'ready') return false
    // A connection that receives messages can't be asked for its id.
    await redisReply(invalidations.unsubscribe())
    const id = await redisReply(invalidations.client('ID'))
    await redisReply(invalidations.subscribe(INVALIDATIONS))
    await redisReply(reading.client('TRACKING', 'OFF'))
    await redisReply(reading.client('TRACKING', 'ON', 'REDIRECT', id))
    this.#mode = { kind: 'unproven' }
    return true
  }

  async #prove(): Promise<void> {
    const { monotonicNow, reading, telemetry, writing } = this.#dependencies
    const startedMs = monotonicNow()
    await redisReply(reading.get(this.#key))
    const arrived = new Promise<boolean>((resolve) => {
      const timeout = setTimeout(() => resolve(false), PROOF_TIMEOUT_MS)
      this.#proofArrived = () => {
        clearTimeout(timeout)
        resolve(true)
      }
    })
    await redisReply(writing.set(this.#key, '1', 'PX', KEY_TTL_MS))
    if (!(await arrived)) return this.#leave(RETRY_AFTER_REFUSAL_MS)
    const { kind } = this.#mode
    // Left meanwhile: a connection was lost.
    if (kind === 'off') return
    if (kind === 'unproven') telemetry.trackingReads(true)
    this.#mode = { kind: 'on', provenMs: startedMs }
  }

  /** @param keys null: all. */
  #changed(keys: unknown): void {
    const { cache } = this.#dependencies
    if (!Array.isArray(keys)) return cache.clear()
    for (const key of keys.map(String)) {
      const id = deviceIdOf(key)
      if (id !== undefined) cache.forget(id)
      else if (key === this.#key) this.#proofArrived()
    }
  }

  #failed(failure: ServiceError): void {
    const isRefused = failure.failureClass === 'operator' || failure.failureClass === 'record'
    if (isRefused) this.#dependencies.telemetry.trackingRefused(failure)
    this.#leave(isRefused ? RETRY_AFTER_REFUSAL_MS : 0)
  }

  #leave(retryAfterMs: number): void {
    const { cache, monotonicNow, telemetry } = this.#dependencies
    if (this.#mode.kind === 'on') telemetry.trackingReads(false)
    this.#mode = { kind: 'off', notBeforeMs: monotonicNow() + retryAfterMs }
    cache.clear()
  }
}

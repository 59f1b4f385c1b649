import type { Redis } from 'ioredis'
import { redisError, type ServiceError } from '../../shared/errors.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { operatorHint } from '../core/operator-hint.ts'

export type ProbeTelemetry = {
  redisWorks(): void
  redisFailed(error: ServiceError): void
  unsafeEviction(policy: string): void
}

const PROBE_TTL_MS = 60_000
/** Older than this, the last successful write says nothing about now. */
const VALID_MS = 10_000

/** Asks Redis by writing: PING succeeds when it is out of memory, or a replica. */
export class WriteProbe {
  readonly #redis: Redis
  readonly #key: string
  readonly #telemetry: ProbeTelemetry
  readonly #now: () => number
  #lastSuccessMs: number | undefined
  #lastError: ServiceError | undefined
  #whyNoConnection: ServiceError | undefined

  constructor(redis: Redis, key: string, telemetry: ProbeTelemetry, now: () => number) {
    this.#redis = redis
    this.#key = key
    this.#telemetry = telemetry
    this.#now = now
    redis.on('error', (error) => (this.#whyNoConnection = redisError(error)))
  }

  /** Rejects with a ServiceError. */
  async write(): Promise<void> {
    try {
      await this.#redis.set(this.#key, String(this.#now()), 'PX', PROBE_TTL_MS)
    } catch (error) {
      const failure = redisError(error)
      // Without a connection a command says only that. Why there is none, the connection has said.
      this.#lastError = failure.code === 'CONNECTION' ? (this.#whyNoConnection ?? failure) : failure
      this.#telemetry.redisFailed(this.#lastError)
      throw this.#lastError
    }
    if (this.#lastSuccessMs === undefined) await this.#warnOfEviction()
    this.#lastSuccessMs = this.#now()
    this.#lastError = undefined
    this.#whyNoConnection = undefined
    this.#telemetry.redisWorks()
  }

  notReadyReasons(): string[] {
    const ageMs = this.#lastSuccessMs === undefined ? Infinity : this.#now() - this.#lastSuccessMs
    if (ageMs < VALID_MS) return []
    const error = this.#lastError
    const { host, port } = this.#redis.options
    return [
      `Redis at ${host}:${port} has not taken a write: ${error === undefined ? 'not tried yet' : `${error.code}: ${error.message}`}`,
    ]
  }

  /** Rejects with an OperatorError if Redis refuses us before it ever let us write. */
  service(everyMs: number, monitor: LoopMonitor): Service {
    return createLoop({
      name: 'write probe',
      everyMs,
      monitor,
      turn: () => this.write(),
      failed: (error) => {
        const failure = redisError(error)
        if (failure.failureClass === 'operator' && this.#lastSuccessMs === undefined) {
          throw new OperatorError(operatorHint(failure))
        }
      },
    })
  }

  async #warnOfEviction(): Promise<void> {
    // A user who may not ask for INFO is no worse off.
    const facts = await this.#redis.info('memory').catch(() => '')
    const policy = /^maxmemory_policy:(\S+)/m.exec(facts)?.[1]
    if (policy !== undefined && policy !== 'noeviction') this.#telemetry.unsafeEviction(policy)
  }
}

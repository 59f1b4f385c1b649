import type { Redis } from 'ioredis'
import { redisError, type ServiceError } from '../../shared/errors.ts'
import { DEVICE_INDEX_KEY } from '../../shared/contract/keys.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { operatorHint } from '../core/operator-hint.ts'

export type ReadProbeTelemetry = {
  redisWorks(): void
  probeFailed(error: ServiceError): void
}

/** Older than this, the last successful read says nothing about now. */
const VALID_MS = 5_000
const EVERY_MS = 1_000

/** Asks Redis by reading: PING succeeds while it is loading, or we may not read. */
export class ReadProbe {
  readonly #redis: Redis
  readonly #telemetry: ReadProbeTelemetry
  readonly #now: () => number
  #lastSuccessMs: number | undefined
  #lastError: ServiceError | undefined

  constructor(redis: Redis, telemetry: ReadProbeTelemetry, now: () => number) {
    this.#redis = redis
    this.#telemetry = telemetry
    this.#now = now
  }

  /** Rejects with a ServiceError. */
  async read(): Promise<void> {
    try {
      await this.#redis.exists(DEVICE_INDEX_KEY)
    } catch (error) {
      this.#lastError = redisError(error)
      this.#telemetry.probeFailed(this.#lastError)
      throw this.#lastError
    }
    this.#lastSuccessMs = this.#now()
    this.#lastError = undefined
    this.#telemetry.redisWorks()
  }

  notReadyReasons(): string[] {
    const ageMs = this.#lastSuccessMs === undefined ? Infinity : this.#now() - this.#lastSuccessMs
    if (ageMs < VALID_MS) return []
    const error = this.#lastError
    const { host, port } = this.#redis.options
    return [
      `Redis at ${host}:${port} has not answered a read: ${error === undefined ? 'not tried yet' : `${error.code}: ${error.message}`}`,
    ]
  }

  /** Rejects with an OperatorError if Redis refuses us before it ever let us read. */
  service(monitor: LoopMonitor): Service {
    return createLoop({
      name: 'read probe',
      everyMs: EVERY_MS,
      monitor,
      turn: () => this.read(),
      failed: (error) => {
        const failure = redisError(error)
        if (failure.failureClass === 'operator' && this.#lastSuccessMs === undefined) {
          throw new OperatorError(operatorHint(failure))
        }
      },
    })
  }
}

import type { Cluster } from 'ioredis'
import { clearerFailure, redisError, type ServiceError } from '../../shared/errors.ts'
import { failureText, operatorHint } from '../core/operator-hint.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { serverName } from './client.ts'
import { askMasters } from './cluster/each-master.ts'
import { keyOnEach, onMaster, SlotTable } from './cluster/slots.ts'
import { readAnyKey } from './read-any-key.ts'
import { redisReply } from './reply.ts'
import { haveNeverWorked } from './refused-settings.ts'
import { isCluster, type RedisClient } from './redis-client.ts'
import type { NotReadyReason } from '../lifecycle/readiness.ts'

export type ProbeTelemetry = {
  redisWorks(): void
  redisFailed(error: ServiceError): void
}

/** What a probe does to find out whether Redis works. */
type ProbeOperation = {
  readonly name: string
  /** A success older than this says nothing about the present. */
  readonly validMs: number
  /** What Redis fails to do, to complete "Redis at … has not …". */
  readonly expected: 'answered a read' | 'accepted a write'
  /** Rejects with a ServiceError. */
  readonly run: () => Promise<void>
  /** Called at the first success after a failure. */
  readonly recovered?: () => void
}

export function createReadProbe(
  redis: RedisClient,
  telemetry: ProbeTelemetry,
  monotonicNow: () => number,
): RedisProbe {
  return new RedisProbe(redis, telemetry, monotonicNow, {
    name: 'read probe',
    validMs: 5_000,
    expected: 'answered a read',
    run: () => readAnyKey(redis),
  })
}

const PROBE_KEY_TTL_MS = 60_000

/**
 * Writes, because PING also succeeds on a replica and on a server that is out of memory. The first success also checks
 * the eviction policy.
 *
 * @param scope in a Cluster, whether every master must accept a write, or only the one that owns the key.
 * @param recovered called at the first success after a failure.
 */
export function createWriteProbe(
  redis: RedisClient,
  key: string,
  telemetry: ProbeTelemetry & { unsafeEviction(policy: string): void },
  monotonicNow: () => number,
  recovered: () => void,
  scope: 'all masters' | 'owner of the key',
): RedisProbe {
  let isEvictionChecked = false

  async function write(): Promise<void> {
    if (isCluster(redis) && scope === 'all masters') await writeToMasters(redis, key)
    else await redisReply(redis.set(key, '1', 'PX', PROBE_KEY_TTL_MS))
    if (!isEvictionChecked) await warnOfEviction()
    isEvictionChecked = true
  }

  async function warnOfEviction(): Promise<void> {
    // A user without the permission for INFO gets no warning, but works.
    const asked = await askMasters(redis, (server) => server.info('memory'))
    const policies = asked.map(({ answer }) => /^maxmemory_policy:(\S+)/m.exec(String(answer))?.[1])
    const unsafe = policies.find((policy) => policy !== undefined && policy !== 'noeviction')
    if (unsafe !== undefined) telemetry.unsafeEviction(unsafe)
  }

  return new RedisProbe(redis, telemetry, monotonicNow, {
    name: 'write probe',
    validMs: 10_000,
    expected: 'accepted a write',
    run: write,
    recovered,
  })
}

/** Rejects with a ServiceError that names the first master that did not accept a write. */
async function writeToMasters(cluster: Cluster, ownKey: string): Promise<void> {
  const keys = keyOnEach(SlotTable.of(cluster).owners.slotsByMaster, ownKey)
  const writes = keys.map(async ({ key, master }) => {
    try {
      // Not on the connection to this master: it may just be replaced by another, which the redirection leads to.
      await cluster.set(key, '1', 'PX', PROBE_KEY_TTL_MS)
    } catch (error) {
      throw onMaster(master, redisError(error))
    }
  })
  await Promise.all(writes)
}

/** Tries one operation on Redis again and again, for telemetry and readiness. */
export class RedisProbe {
  readonly #redis: RedisClient
  readonly #telemetry: ProbeTelemetry
  readonly #monotonicNow: () => number
  readonly #operation: ProbeOperation
  #lastSuccessMs: number | undefined
  #lastError: ServiceError | undefined
  #connectionError: ServiceError | undefined

  constructor(
    redis: RedisClient,
    telemetry: ProbeTelemetry,
    monotonicNow: () => number,
    operation: ProbeOperation,
  ) {
    this.#redis = redis
    this.#telemetry = telemetry
    this.#monotonicNow = monotonicNow
    this.#operation = operation
    redis.on(
      'error',
      (error) => (this.#connectionError = clearerFailure(this.#connectionError, redisError(error))),
    )
  }

  /** One attempt. Rejects with a ServiceError. */
  async attempt(): Promise<void> {
    try {
      await this.#operation.run()
    } catch (error) {
      const failure = redisError(error)
      // Without a connection, a command reports only that; the connection's own error says why.
      this.#lastError = clearerFailure(this.#connectionError, failure)
      this.#telemetry.redisFailed(this.#lastError)
      throw this.#lastError
    }
    const hadFailed = this.#lastError !== undefined
    this.#lastSuccessMs = this.#monotonicNow()
    this.#lastError = undefined
    this.#connectionError = undefined
    this.#telemetry.redisWorks()
    if (hadFailed) this.#operation.recovered?.()
  }

  notReadyReasons(): NotReadyReason[] {
    const { expected, validMs } = this.#operation
    const ageMs = this.#lastSuccessMs === undefined ? Infinity : this.#monotonicNow() - this.#lastSuccessMs
    if (ageMs < validMs) return []
    const error = this.#lastError
    const reason = error === undefined ? 'no attempt yet' : `${error.code}: ${failureText(error)}`
    return [`Redis at ${serverName(this.#redis)} has not ${expected}: ${reason}`]
  }

  /** Rejects with an OperatorError if Redis denies access before the first attempt has succeeded. */
  service(everyMs: number, monitor: LoopMonitor): Service {
    return createLoop({
      name: this.#operation.name,
      everyMs,
      monitor,
      turn: () => this.attempt(),
      failed: (error) => {
        const failure = redisError(error)
        if (haveNeverWorked(this.#redis, failure, this.#lastSuccessMs !== undefined))
          throw new OperatorError(operatorHint(failure))
      },
    })
  }
}

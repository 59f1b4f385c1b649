import { OWN_KEY_PREFIX } from '../../shared/contract/keys.ts'
import { redisError, ServiceError } from '../../shared/errors.ts'
import {
  MISTYPED_FIX,
  mistypedKeys,
  mistypedText,
  type FixedKey,
  type MistypedKey,
} from '../core/fixed-keys.ts'
import { failureText, operatorHint } from '../core/operator-hint.ts'
import { createLoop, type LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { serverName } from './client.ts'
import { askMasters } from './cluster/each-master.ts'
import { haveNeverWorked } from './refused-settings.ts'
import { redisReply } from './reply.ts'
import { isCluster, type RedisClient } from './redis-client.ts'
import type { NotReadyReason } from '../lifecycle/readiness.ts'

export type ServerCheckTelemetry = {
  /** Called once for each key and type found. */
  keyMistyped(key: MistypedKey): void
  keyTypeRestored(key: string): void
  redisFailed(error: ServiceError): void
}

const CHECK_INTERVAL_MS = 5_000
/** What was found cannot be checked any more. It is not logged as restored, because it may not be. */
const UNKNOWN: readonly MistypedKey[] = []
const ABSENT_SCRIPT = '0'.repeat(40)

/**
 * Calls a script that does not exist, with keys of two slots. Only a server that could not run our scripts either
 * replies with anything but NOSCRIPT: one in cluster mode, or one that denies scripts. The masters of a Cluster are asked without keys.
 *
 * @returns that reply; of several masters, rather one that only an operator can change.
 */
export async function findScriptRefusal(redis: RedisClient): Promise<ServiceError | undefined> {
  const keys = isCluster(redis) ? [] : [`${OWN_KEY_PREFIX}check:1`, `${OWN_KEY_PREFIX}check:2`]
  const asked = await askMasters(redis, (server) => server.evalsha(ABSENT_SCRIPT, keys.length, ...keys))
  const refusals = asked.flatMap(({ answer }) =>
    answer instanceof ServiceError && answer.code !== 'NOSCRIPT' ? [answer] : [],
  )
  return refusals.find(({ failureClass }) => failureClass === 'operator') ?? refusals[0]
}

/** Rejects with a ServiceError. */
export async function findMistypedKeys(
  redis: RedisClient,
  keys: readonly FixedKey[],
): Promise<MistypedKey[]> {
  const types = await redisReply(Promise.all(keys.map(({ key }) => redis.type(key))))
  return mistypedKeys(keys, types)
}

/**
 * Finds what no retry can overcome: a server that cannot run our scripts, and fixed keys that another program has
 * written with another type. Without this, each would look like a failure that passes.
 */
export class ServerCheck {
  readonly #redis: RedisClient
  readonly #keys: readonly FixedKey[]
  readonly #telemetry: ServerCheckTelemetry
  #hasPassed = false
  #refusal: ServiceError | undefined
  #connectionError: ServiceError | undefined
  #mistyped: readonly MistypedKey[] = []
  /** False: the user lacks the permission for TYPE, and each attempt would add to the server's ACL LOG. */
  #mayAskTypes = true

  constructor(redis: RedisClient, keys: readonly FixedKey[], telemetry: ServerCheckTelemetry) {
    this.#redis = redis
    this.#keys = keys
    this.#telemetry = telemetry
    // Already logged by the client.
    redis.on('error', (error) => (this.#connectionError = redisError(error)))
    redis.on('ready', () => (this.#connectionError = undefined))
  }

  notReadyReasons(): NotReadyReason[] {
    const reasons = this.#mistyped.map(
      (key): NotReadyReason => `wrong type of key: ${mistypedText(key)}; ${MISTYPED_FIX}`,
    )
    const refusal = this.#refusal
    if (refusal !== undefined)
      reasons.push(
        `Redis at ${serverName(this.#redis)} does not run scripts: ${refusal.code}: ${failureText(refusal)}`,
      )
    return reasons
  }

  /** Rejects with an OperatorError if Redis refuses us, or our scripts, before it has ever accepted them. */
  service(monitor: LoopMonitor): Service {
    return createLoop({
      name: 'server check',
      everyMs: CHECK_INTERVAL_MS,
      monitor,
      turn: async () => {
        // Without a connection, the probes report why.
        if (this.#redis.status === 'ready') await this.#check()
        else if (this.#connectionError !== undefined) this.#assertMayRetry(this.#connectionError)
      },
      failed: (error) => {
        if (error instanceof OperatorError) throw error
        const failure = redisError(error)
        if (failure.code !== 'NOPERM') return
        this.#mayAskTypes = false
        this.#mistyped = UNKNOWN
      },
    })
  }

  async #check(): Promise<void> {
    const refusal = await findScriptRefusal(this.#redis)
    if (refusal?.failureClass === 'operator') {
      this.#assertMayRetry(refusal)
      this.#telemetry.redisFailed(refusal)
    }
    this.#refusal = refusal?.failureClass === 'operator' ? refusal : undefined
    if (this.#refusal !== undefined) this.#mistyped = UNKNOWN
    if (refusal !== undefined) return
    this.#hasPassed = true
    if (this.#mayAskTypes) this.#found(await findMistypedKeys(this.#redis, this.#keys))
  }

  #assertMayRetry(failure: ServiceError): void {
    if (haveNeverWorked(this.#redis, failure, this.#hasPassed)) throw new OperatorError(operatorHint(failure))
  }

  #found(mistyped: readonly MistypedKey[]): void {
    const isIn = (keys: readonly MistypedKey[], one: MistypedKey) =>
      keys.some(({ found, key }) => key === one.key && found === one.found)
    for (const key of mistyped) if (!isIn(this.#mistyped, key)) this.#telemetry.keyMistyped(key)
    for (const { key } of this.#mistyped)
      if (!mistyped.some((one) => one.key === key)) this.#telemetry.keyTypeRestored(key)
    this.#mistyped = mistyped
  }
}

import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import {
  SentinelConnector,
  type Redis,
  type RedisOptions,
  type SentinelAddress,
  type SentinelConnectionOptions,
} from 'ioredis'
import { messageOf, redisError, ServiceError } from '../errors.ts'
import type { ServerAddress } from '../server-address.ts'

type Emit = Parameters<SentinelConnector['connect']>[0]
type NetStream = Awaited<ReturnType<SentinelConnector['connect']>>
type ConnectToSentinel = (endpoint: Partial<SentinelAddress>, options?: object) => Redis

/**
 * Asks the Sentinels where the primary is, as ioredis does, except that:
 *
 * - no Sentinel's answer is an ordinary failure to connect, which ends one attempt. With ioredis the attempt either never
 *   ends, or the client does;
 * - an attempt that is interrupted ends like one that failed, and is followed by another one unless the client is being closed.
 *   With ioredis it ends the client, and the attempt to reconnect after a primary was lost is interrupted when the Sentinels
 *   announce the new one;
 * - the error says what the Sentinels answered: that they do not know the name, or refuse the login;
 * - a Sentinel that cannot be reached while it is watched for a failover is not printed on stderr.
 */
export class PrimaryConnector extends SentinelConnector {
  /** Why the Sentinels gave no address, in this attempt. */
  #failures: Error[] = []

  /** @param options of the client; ioredis declares them as unknown. */
  constructor(options: unknown) {
    // Null: it returns after one round.
    super({ ...(options as SentinelConnectionOptions), sentinelRetryStrategy: () => null })
    // It is private only for the compiler.
    const { connectToSentinel } = this as unknown as { connectToSentinel: ConnectToSentinel }
    const connect: ConnectToSentinel = (endpoint, further) => {
      const sentinel = connectToSentinel.call(this, endpoint, further)
      sentinel.on('error', (error) => this.#failures.push(error))
      return sentinel
    }
    Object.assign(this, { connectToSentinel: connect })
  }

  override async connect(emit: Emit): Promise<NetStream> {
    this.#failures = []
    const answers: string[] = []
    try {
      return await super.connect((type, error) => {
        if (type === 'sentinelError') answers.push(error.message)
        else emit(type, error)
      })
    } catch {
      // An attempt that was interrupted has no error of its own.
      if (this.connecting) this.firstError = this.#failure(answers)
      else delete this.firstError
      const socket = new Socket()
      socket.destroy()
      return socket
    }
  }

  #failure(answers: readonly string[]): ServiceError {
    const { name, sentinels = [] } = this.options
    const where = sentinels.map(({ host, port }) => `${host}:${port}`).join(', ')
    if (answers.some((answer) => UNKNOWN_NAME.test(answer))) {
      const message = `the Sentinels ${where} do not know a primary named ${name}`
      return new ServiceError('redis', 'SENTINEL_NAME', 'operator', message, undefined)
    }
    const failures = this.#failures.map(redisError)
    const refusal = failures.find(({ failureClass }) => failureClass === 'operator')
    const refused = refusal ?? answers.map(refusedLogin).find((one) => one !== undefined)
    if (refused !== undefined) {
      const message = `a Sentinel refuses the connection: ${refused.message}`
      const code = refused.code === 'CERTIFICATE' || refused.code === 'TLS' ? refused.code : 'SENTINEL_LOGIN'
      return new ServiceError('redis', code, 'operator', message, refused)
    }
    const reason = failures[0]?.message ?? answers[0] ?? 'no answer'
    const message = `none of the Sentinels ${where} answers: ${messageOf(reason)}`
    return new ServiceError('redis', 'NO_SENTINEL', 'transient', message, undefined)
  }
}

export type Sentinels = {
  readonly sentinels: readonly ServerAddress[]
  /** Of the primary, as the Sentinels know it. */
  readonly name: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: ConnectionOptions | undefined
}

/** Options of a client: the Sentinels are asked at each new connection, and tell of a failover while it lasts. */
export function sentinelOptions({ name, password, sentinels, tls, username }: Sentinels, timeoutMs: number) {
  return {
    Connector: PrimaryConnector,
    sentinels: sentinels.map((sentinel) => ({ ...sentinel })),
    name,
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(tls !== undefined && { sentinelTLS: tls }),
    // Whether `tls` counts for the primary.
    enableTLSForSentinelMode: true,
    sentinelCommandTimeout: timeoutMs,
    failoverDetector: true,
  } satisfies RedisOptions
}

/** No address, or the error of `SENTINEL sentinels`, which ioredis sends next. */
const UNKNOWN_NAME = /invalid reply: null|No such master/

/** @param answer such as "failed to connect to sentinel 10.0.0.1:26379 because NOAUTH Authentication required." */
function refusedLogin(answer: string): ServiceError | undefined {
  const error = redisError(new Error(answer.replace(/^failed to connect to sentinel .*? because /, '')))
  return error.failureClass === 'operator' ? error : undefined
}

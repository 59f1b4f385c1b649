import { randomUUID } from 'node:crypto'
import { redisError } from '../errors.ts'
import type { ClusterMasters } from './cluster-masters.ts'
import type { CommandConnection, ProblemListener, RedisConnection } from './connection.ts'
import {
  RedisConnectionError,
  RedisNotificationsError,
  RedisOperationError,
  RedisServiceError,
} from './errors.ts'
import { KeyspaceListener } from './keyspace-listener.ts'
import type { RedisClient } from './target.ts'

export type ClusterMemberOptions = {
  /** Of the Cluster. */
  readonly commands: RedisConnection
  readonly masters: ClusterMasters
  /** `host:port` of the master. */
  readonly address: string
  /** Of the connection in CLIENT LIST. */
  readonly name: string
  readonly enableNotifications: boolean
  readonly probePrefix: string
  readonly changed: (key: string, event: string) => void
  readonly resumed: () => void
  readonly problem: ProblemListener
}

/** A key that the master owns is found by trying: one that owns a thousandth of all slots needs a thousand. */
const MAX_PROBE_KEYS = 200_000

/** The listener for one master of a Cluster. See ClusterListener for its three states. */
export class ClusterMember {
  readonly #options: ClusterMemberOptions
  readonly #listener: KeyspaceListener
  #opening: Promise<void> | undefined
  /** From then on the listener resumes by itself. */
  #isOpen = false
  #isClosed = false
  #lastProblem: string | undefined

  /** @throws RedisConnectionError if the Cluster has no connection to the master. */
  constructor(options: ClusterMemberOptions) {
    this.#options = options
    const { address, changed, enableNotifications, name, resumed } = options
    this.#listener = new KeyspaceListener({
      commands: this.#commands(),
      name,
      where: ` at ${address}`,
      enableNotifications,
      probeKey: () => this.#ownKey(),
      changed,
      resumed: () => {
        if (!this.#listener.isSilent) this.#lastProblem = undefined
        resumed()
      },
      problem: (problem) => this.#report(problem),
    })
  }

  get isListening(): boolean {
    return this.#listener.isListening && !this.#listener.isSilent
  }

  get isSilent(): boolean {
    return this.#listener.isSilent
  }

  isListeningTo(key: string): boolean {
    return this.isListening && this.#listener.isListeningTo(key)
  }

  /** Tries to begin to listen. If it rejects, it may be called again. Throws as KeyspaceListener.open. */
  async open(): Promise<void> {
    if (this.#isOpen || this.#isClosed) return
    this.#opening ??= this.#listener.open().finally(() => (this.#opening = undefined))
    await this.#opening
    this.#isOpen = true
  }

  /** Tries to begin to listen, if it has not succeeded yet, and reports why it fails. */
  async keepOpen(): Promise<void> {
    try {
      await this.open()
    } catch (error) {
      if (error instanceof RedisServiceError) this.#report(error)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#listener.close()
  }

  async listen(key: string): Promise<void> {
    await this.#listener.listen(key)
  }

  async settle(key: string): Promise<void> {
    await this.#listener.settle(key)
  }

  async ignore(key: string): Promise<void> {
    await this.#listener.ignore(key)
  }

  /** A problem is reported once, until the master is listened to. */
  #report(problem: RedisServiceError): void {
    if (problem.message === this.#lastProblem || this.#isClosed) return
    this.#lastProblem = problem.message
    if (!(problem instanceof RedisNotificationsError)) {
      this.#options.problem(problem)
      return
    }
    const message = `${problem.message} (on ${this.#options.address}; until then, watched configs are compared every second)`
    this.#options.problem(new RedisNotificationsError(message, { cause: problem }))
  }

  #ownKey(): string {
    const { address, masters, probePrefix } = this.#options
    const begin = `${probePrefix}notifications-probe:${randomUUID()}`
    for (let i = 0; i < MAX_PROBE_KEYS; i++) {
      const key = `${begin}:${i}`
      if (masters.ownerOf(key) === address) return key
    }
    return begin
  }

  /** Sends commands to this master, on the Cluster's own connection to it. */
  #commands(): CommandConnection {
    const { address, commands, masters } = this.#options
    const node = () => {
      const redis = masters.connectionTo(address)
      if (redis === undefined) throw new RedisConnectionError(`no connection to the master ${address}`)
      return redis
    }
    return {
      target: { client: node() as unknown as RedisClient, timeoutMs: commands.target.timeoutMs },
      db: 0,
      run: async (failure, command) => {
        try {
          return await commands.run(failure, async () => await command(node()))
        } catch (error) {
          if (error instanceof RedisOperationError && MOVING.has(redisError(error.cause).code))
            throw new RedisConnectionError(`${failure}: the slots are being moved`, { cause: error })
          throw error
        }
      },
    }
  }
}

const MOVING: ReadonlySet<string> = new Set(['MOVED', 'ASK', 'TRYAGAIN'])

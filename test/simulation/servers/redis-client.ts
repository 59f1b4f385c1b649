import type { Redis } from 'ioredis'
import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { Owner, Scheduler } from '../scheduler.ts'
import { evaluateSha, isPromptScript, knownScript } from './scripts.ts'
import type { RedisReply, SimulatedRedis } from './simulated-redis.ts'

type Command = {
  readonly owner: Owner
  readonly server: SimulatedRedis
  readonly run: (server: SimulatedRedis) => RedisReply
  readonly resolve: (reply: RedisReply) => void
  readonly reject: (error: Error) => void
  readonly isPrompt: boolean
  isExecuted: boolean
  isSettled: boolean
}

const RECONNECT_MS = 60
/** Of the client: it gives up a connection on which it waits for a reply for this long. */
const TIMEOUT_MS = 5_000
const SLOWEST_MS = 4
/** What follows on the same connection arrives at least this much later. */
const IN_ORDER_MS = 1e-3
/** How long bytes that the server has received may wait in it after the connection is gone. */
const LONGEST_AFTER_CUT_MS = 3_000

/**
 * One connection of a worker, with the part of ioredis' interface that the worker uses. Commands reach the server, and
 * replies come back, in order, each after a time of its own. When the connection is cut, each command that was not
 * answered may have been executed, may be executed later, or may never be.
 */
export class SimulatedRedisClient {
  #server: SimulatedRedis
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #inFlight: Command[] = []
  #arrivesMs = 0
  #answeredMs = 0
  #resumesMs = 0
  #cuts = 0
  status: 'ready' | 'reconnecting' = 'ready'
  /** One for each connection. */
  stream = createStream()
  readonly options

  constructor(server: SimulatedRedis, scheduler: Scheduler, random: SeededRandom, host = 'simulated-redis') {
    this.#server = server
    this.options = { host, port: 6379 }
    this.#scheduler = scheduler
    this.#random = random
  }

  /** For code that expects a client of ioredis. */
  asRedis(): Redis {
    return this as unknown as Redis
  }

  on(): this {
    return this
  }

  script(_load: 'LOAD', source: string): Promise<RedisReply> {
    const { name, sha } = knownScript(source)
    return this.send((server) => {
      server.loadScript(name)
      return sha
    })
  }

  hmget(key: string, ...fields: readonly string[]): Promise<RedisReply> {
    return this.send((server) => server.execute('HMGET', key, ...fields))
  }

  set(key: string, text: string): Promise<RedisReply> {
    return this.send((server) => server.execute('SET', key, text))
  }

  async info(): Promise<string> {
    return 'maxmemory_policy:noeviction'
  }

  pipeline() {
    const executions: { readonly run: (server: SimulatedRedis) => RedisReply; readonly isPrompt: boolean }[] =
      []
    const pipeline = {
      get length() {
        return executions.length
      },
      evalsha: (sha: string, keyCount: number, ...rest: readonly (string | number)[]) => {
        const texts = rest.map(String)
        const run = (server: SimulatedRedis) => evaluateSha(server, sha, keyCount, texts)
        executions.push({ run, isPrompt: isPromptScript(sha) })
        return pipeline
      },
      exec: () =>
        Promise.all(
          executions.map(({ run, isPrompt }) =>
            this.send(run, isPrompt).then(
              (reply) => [null, reply] as const,
              (error: unknown) => [error, undefined] as const,
            ),
          ),
        ),
    }
    return pipeline
  }

  /** After a failover: the next connection leads to another server. A connection that leads there stays. */
  moveTo(server: SimulatedRedis): void {
    const hasMoved = server !== this.#server
    this.#server = server
    if (hasMoved) this.cut(0)
  }

  /** The server has ended, and with it what it had received. */
  serverEnded(): void {
    this.#cut(0, 0)
  }

  /** The client has closed the connection: what had arrived is executed at once. */
  leave(): void {
    this.#cut(0, this.#random.below(this.#inFlight.length + 1), 0)
  }

  /** Breaks the connection, and the attempts to reconnect for a while. */
  cut(forMs: number): void {
    this.#cut(forMs, this.#random.below(this.#inFlight.length + 1))
  }

  /**
   * @param received how many of the commands that were sent will be executed.
   * @param longestMs how long they may wait.
   */
  #cut(forMs: number, received: number, longestMs = LONGEST_AFTER_CUT_MS): void {
    const cut = ++this.#cuts
    const now = this.#scheduler.nowMs
    let executedMs = now
    for (const [i, command] of this.#inFlight.splice(0).entries()) {
      if (command.isSettled) continue
      command.isSettled = true
      if (!command.isExecuted && i < received) {
        const waitsMs = this.#random.fraction() < 0.5 ? 0 : this.#random.below(longestMs)
        executedMs = Math.max(executedMs + IN_ORDER_MS, command.server.hungUntilMs, now + waitsMs)
        if (command.isPrompt) execute(command)
        else this.#scheduler.after(executedMs - now, () => execute(command), null)
      }
      command.isExecuted = true
      const { owner, reject } = command
      this.#scheduler.after(0, () => reject(new Error('Connection is closed.')), owner)
    }
    this.status = 'reconnecting'
    this.stream = createStream()
    const reconnect = () => {
      if (cut !== this.#cuts) return
      if (this.#scheduler.nowMs < now + forMs) this.#scheduler.after(RECONNECT_MS, reconnect)
      else this.status = 'ready'
    }
    reconnect()
  }

  /** @param isPrompt whether it is executed at the latest when its connection is cut. */
  send(run: (server: SimulatedRedis) => RedisReply, isPrompt = false): Promise<RedisReply> {
    const { promise, resolve, reject } = Promise.withResolvers<RedisReply>()
    if (this.status !== 'ready') {
      reject(new Error("Stream isn't writeable and enableOfflineQueue options is false"))
      return promise
    }
    const { owner } = this.#scheduler
    const command: Command = {
      owner,
      server: this.#server,
      run,
      resolve,
      reject,
      isPrompt,
      isExecuted: false,
      isSettled: false,
    }
    this.#inFlight.push(command)
    const now = this.#scheduler.nowMs
    this.#arrivesMs = Math.max(this.#arrivesMs + IN_ORDER_MS, now + this.#random.fraction() * SLOWEST_MS)
    this.#scheduler.after(this.#arrivesMs - now, () => this.#arrived(command), null)
    return promise
  }

  #arrived(command: Command): void {
    if (command.isExecuted) return
    const now = this.#scheduler.nowMs
    const { hungUntilMs } = command.server
    if (now < Math.max(hungUntilMs, this.#resumesMs)) {
      this.#resumesMs = Math.max(this.#resumesMs + IN_ORDER_MS, hungUntilMs)
      this.#scheduler.after(this.#resumesMs - now, () => this.#executeInOrder(command), null)
      this.#scheduler.after(TIMEOUT_MS, () => command.isSettled || this.cut(0), command.owner)
    } else this.#executeInOrder(command)
  }

  #executeInOrder(command: Command): void {
    if (command.isExecuted) return
    const settle = execute(command)
    const now = this.#scheduler.nowMs
    this.#answeredMs = Math.max(this.#answeredMs + IN_ORDER_MS, now + this.#random.fraction() * SLOWEST_MS)
    const answer = () => {
      if (command.isSettled) return
      command.isSettled = true
      this.#inFlight.splice(this.#inFlight.indexOf(command), 1)
      settle()
    }
    this.#scheduler.after(this.#answeredMs - now, answer, command.owner)
  }
}

function createStream() {
  return { cork: () => undefined, uncork: () => undefined }
}

/** @returns tells the client. */
function execute(command: Command): () => void {
  command.isExecuted = true
  try {
    const reply = command.run(command.server)
    return () => command.resolve(reply)
  } catch (error) {
    return () => command.reject(error instanceof Error ? error : new Error(String(error)))
  }
}

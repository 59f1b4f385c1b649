import type { RedisStep } from '../schedule.ts'
import { GROUP, TOPIC } from '../settings.ts'
import { progressKey } from '../../../shared/contract/keys.ts'
import { SimulatedRedisClient } from './redis-client.ts'
import { REFUSALS, type RedisServers, type RedisSurroundings, type WorkerRedis } from './redis-servers.ts'
import { SimulatedRedis, type RedisSnapshot } from './simulated-redis.ts'

const PROGRESS_KEY = progressKey(GROUP, TOPIC)

/** One Redis server, and what happens to it. */
export class SingleRedis implements RedisServers {
  readonly #surroundings: RedisSurroundings
  readonly #clients = new Set<SimulatedRedisClient>()
  #server: SimulatedRedis
  #saved: RedisSnapshot = new Map()

  constructor(surroundings: RedisSurroundings) {
    this.#surroundings = surroundings
    this.#server = this.#createServer()
  }

  hash(key: string) {
    return this.#server.hash(key)
  }

  expiryOf(key: string) {
    return this.#server.expiryOf(key)
  }

  set(key: string) {
    return this.#server.set(key)
  }

  keys() {
    return this.#server.keys()
  }

  progress() {
    return [this.#server.hash(PROGRESS_KEY)]
  }

  open(): SimulatedRedisClient {
    const { random, scheduler } = this.#surroundings
    const client = new SimulatedRedisClient(this.#server, scheduler, random)
    this.#clients.add(client)
    return client
  }

  close(client: WorkerRedis): void {
    this.#clients.delete(client as SimulatedRedisClient)
  }

  take(step: RedisStep): void {
    const { scheduler } = this.#surroundings
    switch (step.kind) {
      case 'cut_redis_for_all':
        for (const client of this.#clients) client.cut(step.forMs)
        return
      case 'redis_full':
      case 'redis_readonly': {
        const server = this.#server
        server.refusal = REFUSALS[step.kind]
        scheduler.after(step.forMs, () => (server.refusal = undefined), null)
        return
      }
      case 'hang_redis':
        this.#server.hungUntilMs = scheduler.nowMs + step.forMs
        return
      case 'load_redis': {
        this.#restart(this.#saved)
        const server = this.#server
        server.isLoading = true
        scheduler.after(step.forMs, () => (server.isLoading = false), null)
        return
      }
      case 'fail_over_redis':
        return this.#failOver(step.forMs)
      case 'save_redis':
        this.#saved = this.#server.snapshot()
        return
      case 'wipe_redis':
        return this.#restart(new Map())
      case 'restore_redis':
        return this.#restart(this.#saved)
      case 'forget_scripts':
        return this.#server.scripts.clear()
      case 'request_rebuild':
        return this.#requestRebuild()
      case 'move_slots':
      case 'add_master':
        return
    }
  }

  endFaults(): void {
    for (const client of this.#clients) client.moveTo(this.#server)
    this.#server.refusal = undefined
    this.#server.isLoading = false
    this.#server.hungUntilMs = 0
  }

  #requestRebuild(): void {
    // `cache-cli rebuild` reports that Redis refuses.
    if (this.#server.refusal !== undefined || this.#server.isLoading) return
    const { losesData, partitionCount } = this.#surroundings
    losesData()
    this.#server.scripts.add('request-rebuild')
    const requests = Array.from({ length: partitionCount() }, (_, partition) => `${partition}:requested`)
    this.#server.evaluate('request-rebuild', [PROGRESS_KEY], requests)
  }

  /** Connections break when a server restarts, and what it had received is gone. */
  #restart(saved: RedisSnapshot): void {
    this.#surroundings.losesData()
    for (const client of this.#clients) client.serverEnded()
    this.#server.restart(saved)
  }

  /** The old master serves each worker until that worker notices; what it acknowledges then is lost. */
  #failOver(forMs: number): void {
    const { losesData, random, scheduler } = this.#surroundings
    losesData()
    this.#server.wrote = () => undefined
    this.#server = this.#createServer()
    this.#server.restart(this.#saved)
    for (const client of this.#clients)
      scheduler.after(random.fraction() * forMs, () => client.moveTo(this.#server), null)
  }

  #createServer(): SimulatedRedis {
    const { scheduler, wrote } = this.#surroundings
    const server = new SimulatedRedis(() => scheduler.nowMs)
    server.wrote = wrote
    return server
  }
}

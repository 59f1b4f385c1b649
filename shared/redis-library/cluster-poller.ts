import type { ChangeListener } from './keyspace-listener.ts'

const POLL_INTERVAL_MS = 1_000

/**
 * Takes the place of KeyspaceListener for a Redis Cluster, where each node reports only the changes of its own keys, and keys
 * move between nodes. It receives no changes, so that every fetch reads from Redis, and asks for a comparison every second.
 */
export class ClusterPoller implements ChangeListener {
  readonly #compare: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(compare: () => void) {
    this.#compare = compare
  }

  get isListening(): boolean {
    return this.#timer !== undefined
  }

  isListeningTo(): boolean {
    return false
  }

  async open(): Promise<void> {
    this.#timer ??= setInterval(this.#compare, POLL_INTERVAL_MS)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async listen(): Promise<void> {}

  async settle(): Promise<void> {}

  async ignore(): Promise<void> {}
}

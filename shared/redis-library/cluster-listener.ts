import { ClusterMember } from './cluster-member.ts'
import type { ClusterMasters } from './cluster-masters.ts'
import type { ProblemListener, RedisConnection } from './connection.ts'
import { RedisConnectionError, RedisNotificationsError, RedisServiceError } from './errors.ts'
import type { ChangeListener } from './keyspace-listener.ts'

export type ClusterListenerOptions = {
  readonly commands: RedisConnection
  readonly name: string
  readonly enableNotifications: boolean
  readonly probePrefix: string
  /**
   * Called when a key that is listened to has changed, or may have, because another master owns it now (`resumed`).
   * `mayBeKnown`: another node reported the last change of the key, perhaps this one.
   */
  readonly changed: (key: string, event: string, mayBeKnown?: boolean) => void
  /** Called when a master reports changes again after a gap: earlier values of all keys may be out of date. */
  readonly resumed: () => void
  /** Called every second while a master does not report changes: the keys that are watched must be compared. */
  readonly compare: () => void
  readonly problem: ProblemListener
}

const CHECK_INTERVAL_MS = 1_000

/**
 * Takes the place of KeyspaceListener for a Redis Cluster, where each node reports only the changes of its own keys: one listener
 * for each master. Each of them listens to all keys, so that no change is missed when a key moves from one to another.
 *
 * A master is in one of three states:
 *
 * - listening: every change of its keys is received, and its keys are answered from memory.
 * - silent: it does not report changes and that can't be changed, or it is unknown. Its keys are read every time, and the watched
 *   ones are compared every second. The reason is reported once.
 * - lost: there is no connection, or none yet. Its keys are read every time.
 *
 * A master begins as lost, and becomes listening or silent as soon as possible. Whenever it becomes listening, all keys are compared
 * once (`resumed`), because changes may have been missed. The table of slots is read every second, and after redirections:
 *
 * - a master that is new, such as a promoted replica or an added node, begins as lost;
 * - a master without slots is forgotten, together with what it has not reported yet;
 * - therefore, each key that has another owner is compared once.
 *
 * A master that becomes a replica reports what it gets from its new master, until it is forgotten: then two nodes report each change.
 */
export class ClusterListener implements ChangeListener {
  readonly #options: ClusterListenerOptions
  /** By their addresses. */
  readonly #members = new Map<string, ClusterMember>()
  /** Each key to listen to → the master that owns it. */
  readonly #keys = new Map<string, string | undefined>()
  /** Each key → the node that reported its last change. */
  readonly #reporters = new Map<string, string>()
  #masters: ClusterMasters | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: ClusterListenerOptions) {
    this.#options = options
  }

  /** Whether the changes of all keys are noticed: no master is lost. */
  get isListening(): boolean {
    const members = [...this.#members.values()]
    const isComplete = this.#masters !== undefined && members.length === this.#masters.names.size
    return isComplete && members.every(({ isListening, isSilent }) => isListening || isSilent)
  }

  isListeningTo(key: string): boolean {
    return this.#ownerOf(key)?.isListeningTo(key) === true
  }

  /**
   * Resolves when each master has been tried, and at least one is not lost.
   *
   * @throws RedisConnectionError if all are lost; RedisOperationError if one of them refuses.
   */
  async open(): Promise<void> {
    this.#masters = this.#options.commands.clusterMasters('Cannot listen')
    this.#masters.onChange = () => this.#update()
    this.#update()
    const members = [...this.#members.values()]
    const failures = (await Promise.allSettled(members.map((member) => member.open())))
      .map((outcome): unknown => (outcome.status === 'rejected' ? outcome.reason : undefined))
      .filter((failure) => failure !== undefined && !(failure instanceof RedisNotificationsError))
    const refusal = failures.find((failure) => !(failure instanceof RedisConnectionError))
    if (refusal !== undefined || failures.length === members.length)
      throw refusal ?? failures[0] ?? new RedisConnectionError('Cannot listen: no master is known')
    this.#timer ??= setInterval(() => this.#check(), CHECK_INTERVAL_MS)
    // Reports what has failed, and tries again.
    this.#check()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#masters !== undefined) this.#masters.onChange = undefined
    this.#masters = undefined
    const members = [...this.#members.values()]
    this.#members.clear()
    this.#keys.clear()
    this.#reporters.clear()
    await Promise.all(members.map((member) => member.close()))
  }

  /**
   * Resolves when every later change of the key will be noticed. Only the owner of the key is waited for.
   *
   * @throws RedisConnectionError if it is lost: the key is listened to as soon as possible, unless `ignore` is called first;
   * RedisOperationError for a user without the permission for the channel.
   */
  async listen(key: string): Promise<void> {
    this.#keys.set(key, this.#masters?.ownerOf(key))
    const owner = this.#ownerOf(key)
    for (const member of this.#members.values()) if (member !== owner) listenLater(member, key)
    if (owner === undefined) throw new RedisConnectionError(`Cannot listen to ${key}: its master is unknown`)
    try {
      await owner.listen(key)
    } catch (error) {
      if (!(error instanceof RedisConnectionError)) await this.ignore(key)
      else if (owner.isSilent) return
      throw error
    }
  }

  async settle(key: string): Promise<void> {
    const owner = this.#ownerOf(key)
    if (owner?.isSilent === false) await owner.settle(key)
  }

  async ignore(key: string): Promise<void> {
    this.#keys.delete(key)
    this.#reporters.delete(key)
    await Promise.allSettled([...this.#members.values()].map((member) => member.ignore(key)))
  }

  #ownerOf(key: string): ClusterMember | undefined {
    const address = this.#masters?.ownerOf(key)
    return address === undefined ? undefined : this.#members.get(address)
  }

  #check(): void {
    // If no node answers, each master is lost, and says why.
    this.#masters?.refresh().catch(() => undefined)
    this.#update()
    for (const member of this.#members.values()) void member.keepOpen()
    if ([...this.#members.values()].some(({ isSilent }) => isSilent)) this.#options.compare()
  }

  /** Takes over the table of slots. */
  #update(): void {
    const masters = this.#masters
    if (masters === undefined) return
    for (const [address, member] of this.#members) {
      if (masters.names.has(address)) continue
      this.#members.delete(address)
      void member.close()
    }
    for (const address of masters.names) if (!this.#members.has(address)) this.#add(address, masters)
    for (const [key, before] of this.#keys) {
      const owner = masters.ownerOf(key)
      if (owner === before) continue
      this.#keys.set(key, owner)
      this.#options.changed(key, 'resumed')
    }
  }

  #changed(address: string, key: string, event: string): void {
    const reporter = this.#reporters.get(key) ?? address
    this.#reporters.set(key, address)
    this.#options.changed(key, event, reporter !== address)
  }

  #add(address: string, masters: ClusterMasters): void {
    const { commands, name, enableNotifications, probePrefix, resumed, problem } = this.#options
    const changed = (key: string, event: string) => this.#changed(address, key, event)
    try {
      const member = new ClusterMember({
        ...{ commands, masters, address, name, enableNotifications, probePrefix },
        ...{ changed, resumed, problem },
      })
      this.#members.set(address, member)
      for (const key of this.#keys.keys()) listenLater(member, key)
      if (this.#timer !== undefined) void member.keepOpen()
    } catch (error) {
      // The Cluster has no connection to it yet: it is tried again at the next check.
      if (!(error instanceof RedisServiceError)) throw error
    }
  }
}

/** The member does it as soon as it can. */
function listenLater(member: ClusterMember, key: string): void {
  member.listen(key).catch(() => undefined)
}

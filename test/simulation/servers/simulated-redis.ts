// A Redis in memory with what the worker uses: a few commands, and its scripts, as the Lua files describe them.
// test/integration/simulation/redis.test.ts compares it with a real one.

import { parseOffset } from '../../../cache-service/redis/workers/progress-fields.ts'

type Hash = { readonly fields: Map<string, string>; expiresAtMs: number | undefined }
export type Value = Hash | Set<string> | { readonly text: string }
export type HashFields = ReadonlyMap<string, string>
export type RedisSnapshot = ReadonlyMap<string, Value>

export type RedisReply = string | number | null | readonly RedisReply[]

const SHAPE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00$/
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'
const NON_LOCAL = 'ERR Script attempted to access a non local key in a cluster node'

/** The scripts, by the name of their files. */
export type ScriptName =
  | 'apply-updates'
  | 'delete-devices'
  | 'find-absent'
  | 'advance-progress'
  | 'advance-copy'
  | 'replace-progress'
  | 'set-progress'
  | 'request-rebuild'

export class SimulatedRedis {
  #values = new Map<string, Value>()
  readonly #nowMs: () => number
  /** Names of the loaded scripts, which a restart forgets. */
  readonly scripts = new Set<string>()
  /** Replies to every write, such as `OOM …`; undefined: it accepts writes. */
  refusal: string | undefined
  /** It is reading what was saved, and refuses everything. */
  isLoading = false
  /** It executes nothing until then. */
  hungUntilMs = 0
  /** Called after each write to a device hash. */
  wrote: (key: string, before: HashFields | undefined, after: HashFields) => void = () => undefined
  /** Called after each write of a copy of the progress. */
  wroteCopy: (key: string, partition: number) => void = () => undefined
  /** The reply to a command with a key that is on another master of the Cluster. */
  redirection: (key: string) => string | undefined = () => undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  snapshot(): RedisSnapshot {
    return structuredClone(this.#values)
  }

  /** What a server holds that starts again, with the data that it had saved. */
  restart(saved: RedisSnapshot): void {
    this.#values = structuredClone(saved) as Map<string, Value>
    this.scripts.clear()
  }

  keys(): string[] {
    return [...this.#values.keys()].filter((key) => this.#value(key) !== undefined)
  }

  has(key: string): boolean {
    return this.#value(key) !== undefined
  }

  /** Removes a key, for another server to get it. */
  take(key: string): Value | undefined {
    const value = this.#value(key)
    this.#values.delete(key)
    return value
  }

  put(key: string, value: Value): void {
    this.#values.set(key, value)
  }

  hash(key: string): ReadonlyMap<string, string> | undefined {
    const value = this.#value(key)
    return isHash(value) ? value.fields : undefined
  }

  expiryOf(key: string): number | undefined {
    const value = this.#value(key)
    return isHash(value) ? value.expiresAtMs : undefined
  }

  set(key: string): ReadonlySet<string> {
    const value = this.#value(key)
    return value instanceof Set ? value : new Set()
  }

  /** @throws Error with the text of an error reply. */
  execute(command: string, ...args: readonly string[]): RedisReply {
    this.#refuseWhileLoading()
    const [key = ''] = args
    switch (command) {
      case 'HMGET':
        return args.slice(1).map((field) => this.#hash(key)?.fields.get(field) ?? null)
      case 'HSET':
        this.#refuseWrites()
        return this.#hset(key, args.slice(1))
      case 'HDEL':
        return this.#hdel(key, args.slice(1))
      case 'SET':
        this.#refuseWrites()
        this.#values.set(key, { text: args[1] ?? '' })
        return 'OK'
      case 'DEL':
        return this.#del(key)
      case 'SADD':
        return this.#sadd(key, args.slice(1))
      case 'SREM':
        return this.#srem(key, args.slice(1))
      default:
        throw new Error(`ERR unknown command '${command}'`)
    }
  }

  /** @throws Error with the text of an error reply. */
  evaluate(script: ScriptName, keys: readonly string[], args: readonly string[]): RedisReply {
    this.#refuseWhileLoading()
    if (!this.scripts.has(script)) throw new Error('NOSCRIPT No matching script. Please use EVAL.')
    switch (script) {
      case 'apply-updates':
        return this.#applyUpdates(keys, args)
      case 'delete-devices':
        return this.#deleteDevices(keys, args)
      case 'find-absent':
        return keys.map((one) => (this.#isElsewhere(one) ? NON_LOCAL : this.has(one) ? 0 : 1))
      case 'advance-progress':
        return this.#advanceProgress(keys[0] ?? '', args)
      case 'advance-copy':
        return this.#advanceCopy(keys[0] ?? '', args)
      case 'replace-progress':
        return this.#replaceProgress(keys[0] ?? '', args)
      case 'set-progress':
        return this.#setProgress(keys[0] ?? '', args)
      case 'request-rebuild':
        return this.#requestRebuild(keys[0] ?? '', args)
    }
  }

  #applyUpdates(keys: readonly string[], [packed = '', trustedUpTo = '', ...step]: readonly string[]) {
    const updates = JSON.parse(packed) as [expiry: number, lastUpdated: string, ...fields: string[]][]
    const index = keys[updates.length]
    const progress = keys[updates.length + 1]
    let isRefused = false
    const newIds: string[] = []
    const knownIds: string[] = []
    const statuses: (number | string)[] = []
    for (const [i, [expiry, lastUpdated, ...fields]] of updates.entries()) {
      const key = keys[i] ?? ''
      const value = this.#value(key)
      const isElsewhere = this.#isElsewhere(key)
      if (isElsewhere || (value !== undefined && !isHash(value))) {
        isRefused = true
        statuses.push(isElsewhere ? NON_LOCAL : WRONG_TYPE)
        continue
      }
      let status: number | undefined
      const stored = value?.fields
      const time = stored?.get('last_updated')
      if (stored !== undefined && time !== undefined && time >= lastUpdated && isTrusted(time, trustedUpTo)) {
        const order = time > lastUpdated ? -1 : compareContents(fields, sortedContent(stored))
        if (order < 0) status = 0
        else if (order === 0) status = 1
      }
      if (status === undefined) {
        this.#refuseWrites()
        const before = stored === undefined ? undefined : new Map(stored)
        const expiresAtMs = value?.expiresAtMs
        const pairs = ['last_updated', lastUpdated, ...fields]
        const written = new Map<string, string>()
        // Redis keeps the places of the fields that stay; only the set of pairs matters here.
        for (let at = 0; at < pairs.length; at += 2) written.set(pairs[at] ?? '', pairs[at + 1] ?? '')
        this.#values.set(key, { fields: written, expiresAtMs })
        this.wrote(key, before, written)
        status = 2
      }
      if (!this.#extendExpiry(key, expiry, value === undefined)) status = 3
      else (time === undefined ? newIds : knownIds).push(key.slice(7, -9))
      statuses.push(status)
    }
    if (index === undefined) return [statuses, 0]
    this.#sadd(index, newIds)
    const sample = [knownIds[0], knownIds[Math.ceil(knownIds.length / 2) - 1], knownIds.at(-1)]
    const sampled = sample.filter((id) => id !== undefined)
    if (this.#sadd(index, sampled) > 0) this.#sadd(index, knownIds)
    if (progress === undefined || isRefused) return [statuses, 0]
    const [field = '', expected = '', next = '', markBefore = '', markAfter = ''] = step
    const mark = `${field}:part`
    const stored = this.#hash(progress)?.fields
    if ((stored?.get(field) ?? '') !== expected) return [statuses, 0]
    if (markBefore !== '' && stored?.get(mark) !== markBefore) return [statuses, 0]
    if (markAfter !== '') {
      this.#refuseWrites()
      this.#hset(progress, [mark, markAfter])
      return [statuses, 0]
    }
    if (markBefore !== '') this.#hdel(progress, [mark])
    if (expected === '' || Number(next) > Number(expected)) {
      this.#refuseWrites()
      this.#hset(progress, [field, next])
    }
    return [statuses, 1]
  }

  #extendExpiry(key: string, expiry: number, isNew: boolean): boolean {
    const hash = this.#hash(key)
    if (hash === undefined) return false
    if (expiry === 0) {
      hash.expiresAtMs = undefined
      return true
    }
    // Redis treats a hash without an expiry as one that expires never; ours then gets one.
    if (isNew || hash.expiresAtMs === undefined || hash.expiresAtMs < expiry) hash.expiresAtMs = expiry
    return this.#value(key) !== undefined
  }

  #deleteDevices(keys: readonly string[], [packed = '', trustedUpTo = '']: readonly string[]) {
    const deletesUpTo = JSON.parse(packed) as string[]
    const ids: string[] = []
    const statuses = deletesUpTo.map((upTo, i): number | string => {
      const key = keys[i] ?? ''
      const value = this.#value(key)
      if (this.#isElsewhere(key)) return NON_LOCAL
      if (value !== undefined && !isHash(value)) return WRONG_TYPE
      const time = value?.fields.get('last_updated')
      if (time !== undefined && isTrusted(time, trustedUpTo) && time > upTo) return 0
      ids.push(key.slice(7, -9))
      return this.#del(key) === 1 ? 2 : 1
    })
    const index = keys[deletesUpTo.length]
    if (index !== undefined) this.#srem(index, ids)
    return statuses
  }

  #advanceProgress(key: string, [field = '', expected = '', next = '']: readonly string[]): RedisReply {
    const stored = this.#hash(key)?.fields.get(field) ?? ''
    if (stored !== expected) return stored
    if (stored === '' || Number(next) > Number(stored)) {
      this.#refuseWrites()
      this.#hset(key, [field, next])
    }
    return null
  }

  #replaceProgress(key: string, [field = '', expected = '', next = '', request = '']: readonly string[]) {
    if (parseOffset(this.#hash(key)?.fields.get(field)) !== parseOffset(expected)) return 0
    this.#refuseWrites()
    this.#hset(key, [field, next])
    this.#hdel(key, [request])
    return 1
  }

  #advanceCopy(key: string, [field = '', ...args]: readonly string[]): RedisReply {
    const [expected = '', expectedClaim = '', next = '', claim = ''] = args
    const stored = this.#hash(key)?.fields
    const slots = `${field}:slots`
    if (parseOffset(stored?.get(field)) !== parseOffset(expected)) return 0
    if ((stored?.get(slots) ?? '') !== expectedClaim) return 0
    this.#refuseWrites()
    this.#hset(key, [field, next, slots, claim])
    this.wroteCopy(key, Number(field))
    return 1
  }

  #setProgress(key: string, namesAndValues: readonly string[]): RedisReply {
    for (let i = 0; i < namesAndValues.length; i += 2) {
      const [name = '', value = ''] = namesAndValues.slice(i, i + 2)
      if (value === '') {
        this.#hdel(key, [name])
      } else {
        this.#refuseWrites()
        this.#hset(key, [name, value])
        if (name.endsWith(':slots')) this.wroteCopy(key, Number.parseInt(name, 10))
      }
    }
    return null
  }

  #requestRebuild(key: string, requestFields: readonly string[]): RedisReply {
    this.#refuseWrites()
    this.#values.delete(key)
    for (const field of requestFields) this.#hset(key, [field, '1'])
    return null
  }

  /** @throws Error with the text of an error reply. */
  loadScript(script: ScriptName): void {
    this.#refuseWhileLoading()
    this.scripts.add(script)
  }

  #isElsewhere(key: string): boolean {
    return this.redirection(key) !== undefined
  }

  #refuseWhileLoading(): void {
    if (this.isLoading) throw new Error('LOADING Redis is loading the dataset in memory')
  }

  #refuseWrites(): void {
    if (this.refusal !== undefined) throw new Error(this.refusal)
  }

  #value(key: string): Value | undefined {
    const value = this.#values.get(key)
    if (isHash(value) && value.expiresAtMs !== undefined && value.expiresAtMs <= this.#nowMs()) {
      this.#values.delete(key)
      return undefined
    }
    return value
  }

  #hash(key: string): Hash | undefined {
    const value = this.#value(key)
    if (value !== undefined && !isHash(value)) throw new Error(WRONG_TYPE)
    return value
  }

  #members(key: string): Set<string> {
    const value = this.#value(key)
    if (value !== undefined && !(value instanceof Set)) throw new Error(WRONG_TYPE)
    return value ?? new Set()
  }

  #hset(key: string, pairs: readonly string[]): number {
    const hash = this.#hash(key) ?? { fields: new Map<string, string>(), expiresAtMs: undefined }
    let added = 0
    for (let at = 0; at < pairs.length; at += 2) {
      const name = pairs[at] ?? ''
      if (!hash.fields.has(name)) added++
      hash.fields.set(name, pairs[at + 1] ?? '')
    }
    this.#values.set(key, hash)
    return added
  }

  #hdel(key: string, names: readonly string[]): number {
    const hash = this.#hash(key)
    const removed = names.filter((name) => hash?.fields.delete(name)).length
    if (hash?.fields.size === 0) this.#values.delete(key)
    return removed
  }

  #del(key: string): number {
    const existed = this.#value(key) !== undefined
    this.#values.delete(key)
    return existed ? 1 : 0
  }

  #sadd(key: string, ids: readonly string[]): number {
    if (ids.length === 0) return 0
    this.#refuseWrites()
    const members = this.#members(key)
    const before = members.size
    for (const id of ids) members.add(id)
    this.#values.set(key, members)
    return members.size - before
  }

  #srem(key: string, ids: readonly string[]): number {
    const members = this.#members(key)
    const removed = ids.filter((id) => members.delete(id)).length
    if (members.size === 0) this.#values.delete(key)
    return removed
  }
}

function isHash(value: Value | undefined): value is Hash {
  return value !== undefined && !(value instanceof Set) && 'fields' in value
}

function isTrusted(time: string, trustedUpTo: string): boolean {
  return time <= trustedUpTo && SHAPE.test(time)
}

function sortedContent(stored: ReadonlyMap<string, string>): string[] {
  return [...stored]
    .filter(([name]) => name !== 'last_updated')
    .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .flat()
}

function compareContents(a: readonly string[], b: readonly string[]): number {
  const canonical = (content: readonly string[]) => Buffer.from(content.map((part) => `${part}\0`).join(''))
  const order = Buffer.compare(canonical(a), canonical(b))
  if (order !== 0) return order
  const at = a.findIndex((part, i) => part !== b[i])
  if (at >= 0) return Buffer.compare(Buffer.from(a[at] ?? ''), Buffer.from(b[at] ?? ''))
  return Math.sign(a.length - b.length)
}

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisConnection } from './connection.ts'
import { isForbidden, RedisNotificationsError } from './errors.ts'

const SETTING = 'notify-keyspace-events'

/** Keyspace channels, for strings, lists, generic commands (DEL, RENAME) and expiry. */
const NEEDED = 'K$lgx'

/** What the flag `A` stands for, of those. */
const IN_ALL = '$lgx'

/** What must be added to the setting, such as `K$`; '' if nothing. */
export function missingFlags(flags: string): string {
  const present = flags.includes('A') ? flags + IN_ALL : flags
  return [...NEEDED].filter((flag) => !present.includes(flag)).join('')
}

export function keyspaceChannel(db: number, key: string): string {
  return `__keyspace@${db}__:${key}`
}

/** How it is known that Redis tells of changes; `unknown`: it may not. */
export type NotificationsKnown = 'by setting' | 'by trial' | 'unknown'

/** Hears what is said on a key's channel until it is stopped. */
export type Overhear = (key: string, heard: (event: string) => void) => Promise<() => Promise<void>>

/**
 * Makes sure that Redis tells of changes to keys.
 *
 * A user without the right to CONFIG (always so on many managed servers) can't ask for the setting: then a key is
 * written, read and deleted, and whether Redis tells of it is the answer. Without the right to do that, either,
 * it is unknown.
 *
 * @param enable adds what is missing to the setting, if the user may.
 * @param probePrefix of the key that is written.
 * @throws RedisNotificationsError that names what is missing; RedisConnectionError, RedisOperationError
 */
export async function checkNotifications(
  commands: RedisConnection,
  overhear: Overhear,
  { enable, probePrefix }: { readonly enable: boolean; readonly probePrefix: string },
): Promise<NotificationsKnown> {
  let flags = await readFlags(commands)
  if (flags === undefined) return await probe(commands, overhear, probePrefix)
  if (enable && missingFlags(flags) !== '') {
    await addFlags(commands, flags)
    flags = (await readFlags(commands)) ?? flags
  }
  const missing = missingFlags(flags)
  if (missing !== '') throw notEnabled(missing, flags + missing)
  return 'by setting'
}

/** Whether the setting still holds what is needed. @throws RedisConnectionError, RedisOperationError */
export async function areNotificationsEnabled(commands: RedisConnection): Promise<boolean> {
  return missingFlags((await readFlags(commands)) ?? '') === ''
}

/** Undefined: this user may not ask. */
async function readFlags(commands: RedisConnection): Promise<string | undefined> {
  try {
    const answered = await commands.run(`reading ${SETTING}`, (redis) => redis.config('GET', SETTING))
    return Array.isArray(answered) ? String(answered[1] ?? '') : ''
  } catch (error) {
    if (isForbidden(error)) return undefined
    throw error
  }
}

async function addFlags(commands: RedisConnection, flags: string): Promise<void> {
  const missing = missingFlags(flags)
  const merged = flags + missing
  try {
    await commands.run(`setting ${SETTING}`, (redis) => redis.config('SET', SETTING, merged))
  } catch (error) {
    if (isForbidden(error)) throw notEnabled(missing, merged, error)
    throw error
  }
}

/** What Redis says of the probe, and the flag that makes it say so. */
const PROBED = { set: '$', rpush: 'l', del: 'g', expired: 'x' } as const
const PROBE_WAIT_MS = 1_000

async function probe(
  commands: RedisConnection,
  overhear: Overhear,
  prefix: string,
): Promise<NotificationsKnown> {
  const key = `${prefix}notifications-probe:${randomUUID()}`
  const silent = new Set<string>(Object.keys(PROBED))
  const { promise: allHeard, resolve } = Promise.withResolvers<void>()
  const stop = await overhear(key, (event) => {
    silent.delete(event)
    if (silent.size === 0) resolve()
  })
  const waiting = new AbortController()
  try {
    await commands.run(`probing ${key}`, async (redis) => {
      await redis.set(key, 'probe', 'PX', 1)
      await sleep(5)
      await redis.exists(key)
      await redis.rpush(key, 'probe')
      await redis.del(key)
    })
    const timedOut = sleep(PROBE_WAIT_MS, undefined, { signal: waiting.signal }).catch(() => undefined)
    await Promise.race([allHeard, timedOut])
  } catch (error) {
    if (isForbidden(error)) return 'unknown'
    throw error
  } finally {
    waiting.abort()
    await stop()
  }
  if (silent.size === 0) return 'by trial'
  const missing = Object.entries(PROBED).filter(([event]) => silent.has(event))
  throw notEnabled(missing.map(([, flag]) => flag).join(''), NEEDED)
}

function notEnabled(missing: string, wanted: string, cause?: unknown): RedisNotificationsError {
  return new RedisNotificationsError(
    `Redis does not tell of changes to keys (it lacks the flags ${missing}). Somebody with the right to must run: ` +
      `redis-cli CONFIG SET ${SETTING} '${wanted}', and put it into redis.conf; or use enableNotifications`,
    { cause },
  )
}

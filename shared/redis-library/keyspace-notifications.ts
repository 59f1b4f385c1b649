import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandConnection } from './connection.ts'
import { isForbidden, RedisNotificationsError } from './errors.ts'

const SETTING = 'notify-keyspace-events'

/** Keyspace channels (K) for strings, lists, generic commands (DEL, RENAME) and expiry. */
const NEEDED = 'K$lgx'

/** The needed flags that the flag `A` includes. */
const IN_ALL = '$lgx'

/** The flags that must be added to the setting, such as `K$`; '' if none. */
export function missingFlags(flags: string): string {
  const present = flags.includes('A') ? flags + IN_ALL : flags
  return [...NEEDED].filter((flag) => !present.includes(flag)).join('')
}

export function keyspaceChannel(db: number, key: string): string {
  return `__keyspace@${db}__:${key}`
}

/** How we know that Redis reports changes. `unknown`: it may not report them. */
export type NotificationsKnown = 'by setting' | 'by trial' | 'unknown'

/** Receives the events of one key. Resolves with a function that stops it. */
export type ObserveKey = (key: string, onEvent: (event: string) => void) => Promise<() => Promise<void>>

/**
 * Makes sure that Redis reports changes to keys.
 *
 * A user without the permission for CONFIG (the rule on many managed servers) cannot read the setting. Then this writes,
 * reads and deletes a key of its own, and checks whether Redis reports it. For a user who may not do that either, the
 * result is `unknown`.
 *
 * @param enable adds the missing flags to the setting, if the user has the permission.
 * @param probeKey the name of the key that is written.
 * @throws RedisNotificationsError that names the missing flags; RedisConnectionError, RedisOperationError
 */
export async function checkNotifications(
  commands: CommandConnection,
  observe: ObserveKey,
  { enable, probeKey }: { readonly enable: boolean; readonly probeKey: string },
): Promise<NotificationsKnown> {
  let flags = await readFlags(commands)
  if (flags === undefined) return await probe(commands, observe, probeKey)
  if (enable && missingFlags(flags) !== '') {
    await addFlags(commands, flags)
    flags = (await readFlags(commands)) ?? flags
  }
  const missing = missingFlags(flags)
  if (missing !== '') throw notEnabled(missing, flags + missing)
  return 'by setting'
}

/** Whether the setting still has the needed flags. @throws RedisConnectionError, RedisOperationError */
export async function areNotificationsEnabled(commands: CommandConnection): Promise<boolean> {
  return missingFlags((await readFlags(commands)) ?? '') === ''
}

/** Resolves with undefined if this user may not read the setting. */
async function readFlags(commands: CommandConnection): Promise<string | undefined> {
  try {
    const reply = await commands.run(`Cannot read ${SETTING}`, (redis) => redis.config('GET', SETTING))
    return Array.isArray(reply) ? String(reply[1] ?? '') : ''
  } catch (error) {
    if (isForbidden(error)) return undefined
    throw error
  }
}

async function addFlags(commands: CommandConnection, flags: string): Promise<void> {
  const missing = missingFlags(flags)
  const merged = flags + missing
  try {
    await commands.run(`Cannot set ${SETTING}`, (redis) => redis.config('SET', SETTING, merged))
  } catch (error) {
    if (isForbidden(error)) throw notEnabled(missing, merged, error)
    throw error
  }
}

/** The events that the probe causes, and the flag that enables each. */
const PROBED = { set: '$', rpush: 'l', del: 'g', expired: 'x' } as const
const PROBE_WAIT_MS = 1_000

async function probe(
  commands: CommandConnection,
  observe: ObserveKey,
  key: string,
): Promise<NotificationsKnown> {
  const missingEvents = new Set<string>(Object.keys(PROBED))
  let resolve = () => {}
  const allReceived = new Promise<void>((done) => (resolve = done))
  const stop = await observe(key, (event) => {
    missingEvents.delete(event)
    if (missingEvents.size === 0) resolve()
  })
  const waiting = new AbortController()
  try {
    await commands.run(`Cannot test the notifications with ${key}`, async (redis) => {
      await redis.set(key, 'probe', 'PX', 1)
      await sleep(5)
      await redis.exists(key)
      await redis.rpush(key, 'probe')
      await redis.del(key)
    })
    const timedOut = sleep(PROBE_WAIT_MS, undefined, { signal: waiting.signal }).catch(() => undefined)
    await Promise.race([allReceived, timedOut])
  } catch (error) {
    if (isForbidden(error)) return 'unknown'
    throw error
  } finally {
    waiting.abort()
    await stop()
  }
  if (missingEvents.size === 0) return 'by trial'
  const missing = Object.entries(PROBED).filter(([event]) => missingEvents.has(event))
  throw notEnabled(missing.map(([, flag]) => flag).join(''), NEEDED)
}

function notEnabled(missing: string, wanted: string, cause?: unknown): RedisNotificationsError {
  return new RedisNotificationsError(
    `Redis does not report changes to keys: ${SETTING} lacks the flags ${missing}. As an administrator, run ` +
      `redis-cli CONFIG SET ${SETTING} '${wanted}' and add the setting to redis.conf, or use the option enableNotifications`,
    { cause },
  )
}

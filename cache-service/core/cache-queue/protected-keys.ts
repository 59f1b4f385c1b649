import { DEVICE_INDEX_KEY, DEVICE_KEY_PREFIX, OWN_KEY_PREFIX } from '../../../shared/contract/keys.ts'

/**
 * Is the key the platform's, so that the Redis Service may neither show, write nor delete it as a cache value?
 * `extraPrefixes` are those that the operator protects besides.
 */
export function isProtectedKey(key: string, extraPrefixes: readonly string[]): boolean {
  return (
    key === DEVICE_INDEX_KEY ||
    key.startsWith(DEVICE_KEY_PREFIX) ||
    key.startsWith(OWN_KEY_PREFIX) ||
    extraPrefixes.some((prefix) => key.startsWith(prefix))
  )
}

/** Redis announces its own events on `__keyspace@…` and `__keyevent@…`: nobody may forge them, nor ours. */
export function mayPublishTo(channel: string): boolean {
  return !channel.startsWith('__key') && !channel.startsWith(OWN_KEY_PREFIX)
}

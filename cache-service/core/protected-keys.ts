import { DEVICE_INDEX_KEY, DEVICE_KEY_PREFIX, OWN_KEY_PREFIX } from '../../shared/contract/keys.ts'

/**
 * Whether a key belongs to the platform: the cache-queue service may then neither read, write nor delete it, and no
 * update may have it as its type.
 *
 * @param extraPrefixes that the operator protects, too (CACHE_PROTECTED_PREFIXES).
 */
export function isProtectedKey(key: string, extraPrefixes: readonly string[]): boolean {
  return (
    key === DEVICE_INDEX_KEY ||
    key.startsWith(DEVICE_KEY_PREFIX) ||
    key.startsWith(OWN_KEY_PREFIX) ||
    extraPrefixes.some((prefix) => key.startsWith(prefix))
  )
}

import { OWN_KEY_PREFIX } from '../../../shared/contract/keys.ts'

/** Keyspace notifications (`__keyspace@…`, `__keyevent@…`) and our own channels must not be forged. */
export function mayPublishTo(channel: string): boolean {
  return !channel.startsWith('__key') && !channel.startsWith(OWN_KEY_PREFIX)
}

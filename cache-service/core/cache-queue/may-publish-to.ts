import { OWN_KEY_PREFIX } from '../../../shared/contract/keys.ts'

/**
 * Redis' own channels are named `__…__:…`: keyspace notifications (`__keyspace@0__:…`, `__keyevent@0__:…`), the
 * announcements by which Sentinels find each other (`__sentinel__:hello`), and invalidations of client-side caches
 * (`__redis__:invalidate`). Neither they nor our own channels must be forged.
 */
const CHANNEL_OF_REDIS = /^__key|^__.*__:/s

export function mayPublishTo(channel: string): boolean {
  return !CHANNEL_OF_REDIS.test(channel) && !channel.startsWith(OWN_KEY_PREFIX)
}

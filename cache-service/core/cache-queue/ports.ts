/** What the Redis Service asks of Redis. Everything here rejects with a ServiceError. */

export type CacheValue =
  /** `ttlS` is null if it never expires. */
  { kind: 'found'; text: string; ttlS: number | null } | { kind: 'absent' } | { kind: 'other_type' }

export type CacheValues = {
  get(key: string): Promise<CacheValue>
  /** @param ttlS null: it never expires. */
  set(key: string, text: string, ttlS: number | null): Promise<void>
  /** False if there was nothing to delete. */
  delete(key: string): Promise<boolean>
  exists(key: string): Promise<boolean>
  /** The keys that match and are not protected, each once; at most LISTED_MAX. */
  list(glob: string): Promise<{ keys: string[]; truncated: boolean }>
  /** Deletes what matches and is not protected; resolves with how many. `*` deletes all of it. */
  deleteMatching(glob: string): Promise<number>
}

export type ChannelSubscribers = { channel: string; subscribers: number }

export type PubsubAdmin = {
  /** Resolves with how many subscribers received it. */
  publish(channel: string, message: string): Promise<number>
  /** The channels with subscribers that match; at most LISTED_MAX. */
  channels(glob: string): Promise<{ channels: ChannelSubscribers[]; truncated: boolean }>
  subscribers(channel: string): Promise<number>
}

/** Keys or channels in one answer. */
export const LISTED_MAX = 10_000

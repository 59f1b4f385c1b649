export type CacheValue =
  /** `ttlS` is null if the value never expires. */
  { kind: 'found'; text: string; ttlS: number | null } | { kind: 'absent' } | { kind: 'other_type' }

/** The values of the cache-queue service in Redis. Every call rejects with a ServiceError if Redis fails. */
export type CacheValues = {
  get(key: string): Promise<CacheValue>
  /** @param ttlS null: the value never expires. */
  set(key: string, text: string, ttlS: number | null): Promise<void>
  /** Resolves with false if there was nothing to delete. */
  delete(key: string): Promise<boolean>
  exists(key: string): Promise<boolean>
  /** The keys that match and are not protected, each once: at most LISTED_MAX, and none of a master of a Cluster that does not answer. */
  list(glob: string): Promise<{ keys: string[]; truncated: boolean }>
  /**
   * Deletes the keys that match and are not protected; `*` deletes all of those. Resolves with their number. If a master of a Cluster
   * does not answer, it rejects after having deleted those of the others.
   */
  deleteMatching(glob: string): Promise<number>
}

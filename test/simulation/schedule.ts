/** What happens from outside, and when. Everything else follows from it and from the seed. */
export type Step = { readonly atMs: number } & (
  | { readonly kind: 'produce'; readonly partition: number; readonly records: readonly StepRecord[] }
  | {
      readonly kind: 'transaction'
      readonly partition: number
      readonly records: readonly StepRecord[]
      readonly isCommitted: boolean
    }
  | { readonly kind: 'compact'; readonly partition: number }
  /** `percent` of the offsets that the partition holds then. */
  | { readonly kind: 'delete_records'; readonly partition: number; readonly percent: number }
  | { readonly kind: 'add_partition' }
  /** It is deleted, and created again after this time. */
  | { readonly kind: 'recreate_topic'; readonly forMs: number }
  | { readonly kind: 'start_worker'; readonly worker: string }
  | { readonly kind: 'stop_worker' | 'kill_worker'; readonly worker: string }
  | { readonly kind: 'freeze_worker'; readonly worker: string; readonly forMs: number }
  | { readonly kind: 'cut_redis'; readonly worker: string; readonly forMs: number; readonly master?: number }
  | { readonly kind: 'kafka_down' | 'refuse_commits' | 'move_coordinator'; readonly forMs: number }
  | RedisStep
)

/** `master`: which one of a Cluster, a number modulo how many there are. undefined: all of them. */
export type RedisStep = { readonly atMs: number; readonly master?: number } & (
  | { readonly kind: 'cut_redis_for_all' | 'redis_full' | 'redis_readonly'; readonly forMs: number }
  /** It answers nothing, and executes later what it has received. */
  | { readonly kind: 'hang_redis'; readonly forMs: number }
  /** It starts again with what was saved last, and reads that for a while. */
  | { readonly kind: 'load_redis'; readonly forMs: number }
  /** To a replica that holds what was saved last, or everything; each worker notices within this time. */
  | { readonly kind: 'fail_over_redis'; readonly forMs: number; readonly isInSync?: boolean }
  | { readonly kind: 'save_redis' | 'wipe_redis' | 'restore_redis' | 'forget_scripts' | 'request_rebuild' }
  /** In a Cluster, a percentage of the slots of a master moves to another one, with their keys, in some parts. */
  | {
      readonly kind: 'move_slots'
      readonly to: number
      readonly percent: number
      readonly parts: number
      readonly forMs: number
    }
  | { readonly kind: 'add_master' }
)

export type StepRecord =
  | {
      readonly kind: 'update'
      readonly device: number
      /** Before the record time. */
      readonly eventAgeMs: number
      readonly name: string
      /** Empty: none. */
      readonly unit: string
    }
  | { readonly kind: 'tombstone'; readonly device: number }
  | { readonly kind: 'invalid'; readonly device: number }

export type Schedule = {
  readonly seed: number
  readonly partitions: number
  /** Of a Redis Cluster. 1: it is a single server. */
  readonly masters: number
  readonly steps: readonly Step[]
}

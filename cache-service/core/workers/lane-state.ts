import type { ServiceError } from '../../../shared/errors.ts'

/**
 * What the worker does with one partition that it owns, in one generation of the consumer group.
 *
 * - `running`: chunks are made durable in order, each as soon as the one before it is.
 * - `holding`: a chunk could not be made durable. The same chunk is retried indefinitely, with a growing delay; nothing
 *   after it is written. Other lanes continue. After 8 s the lane is paused: its partition is not fetched, and a probe has
 *   to succeed before the chunk is sent again.
 * - `rewinding`: Redis lost data that Kafka still has. What was fetched is discarded, and so is everything that arrives
 *   before a fetch that begins at `to`, or at the beginning of another log. KafkaJS can lose a seek, so it is repeated until then.
 * - `ended`: the partition was revoked, or the worker is stopping. No further chunk is started.
 *
 *             failed     durable    rewind       fetched (from `to`)    ended
 * running     holding    running    rewinding    running                ended
 * holding     holding    running    rewinding    holding                ended
 * rewinding   –          –          rewinding    running                ended
 * ended       –          –          –            –                      –
 */
export type LaneState =
  | { readonly kind: 'running' }
  | {
      readonly kind: 'holding'
      readonly failure: ServiceError
      readonly sinceMs: number
      /** Failures since then, from 1. */
      readonly failures: number
      /** It has held for long: nothing is fetched, and a probe is tried before the chunk. */
      readonly isPaused: boolean
    }
  | { readonly kind: 'rewinding'; readonly to: number }
  | { readonly kind: 'ended' }

export type LaneInput =
  | { readonly kind: 'failed'; readonly failure: ServiceError; readonly nowMs: number }
  | { readonly kind: 'durable' }
  | { readonly kind: 'rewind'; readonly to: number }
  /** A fetch has arrived that begins at `position`. After a restart of the log (fetched-partition.ts) there is no `to`. */
  | { readonly kind: 'fetched'; readonly position: number; readonly isRestart: boolean }
  | { readonly kind: 'ended' }

/** A lane that has held for longer is paused. */
const PAUSE_AFTER_MS = 8_000

export const RUNNING: LaneState = { kind: 'running' }

export function stepLane(state: LaneState, input: LaneInput): LaneState {
  if (state.kind === 'ended') return state
  switch (input.kind) {
    case 'ended':
      return { kind: 'ended' }
    case 'rewind':
      return { kind: 'rewinding', to: input.to }
    case 'fetched':
      return state.kind === 'rewinding' && (state.to === input.position || input.isRestart) ? RUNNING : state
    case 'durable':
      return state.kind === 'holding' ? RUNNING : state
    case 'failed': {
      if (state.kind === 'rewinding') return state
      const { failure, nowMs } = input
      const { failures, sinceMs } = state.kind === 'holding' ? state : { failures: 0, sinceMs: nowMs }
      const isPaused = nowMs - sinceMs >= PAUSE_AFTER_MS
      return { kind: 'holding', failure, sinceMs, failures: failures + 1, isPaused }
    }
  }
}

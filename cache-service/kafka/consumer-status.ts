import type { ConsumerState } from '../telemetry/worker-metrics.ts'

type StateOutsideGroup = Extract<ConsumerState, 'waiting' | 'joining' | 'stopped'>

/**
 * What the worker's consumer is doing, as a state machine.
 *
 * waiting    There is no KafkaJS consumer: Kafka is unreachable, the topic is missing, or the last consumer has crashed
 *            or stalled. After a backoff a new one starts → joining.
 * joining    A consumer connects, or its group rebalances. Once it has its partitions → consuming.
 * consuming  Records are fetched and applied. A chunk of a partition fails → holding.
 * holding    Some partitions hold: their chunk is tried again and again, while the others are consumed. When none holds
 *            any more → consuming. When all that hold have held for 8 s → paused.
 * paused     The partitions that hold are not fetched, and probes are tried. When none holds any more → consuming.
 * stopped    The consumer has left the group permanently.
 *
 * A rebalance leads from every other state to joining, and the end of the KafkaJS consumer to waiting.
 */
export type ConsumerStatus =
  /** Not in the consumer group, for this reason. */
  | { readonly kind: StateOutsideGroup; readonly reason: string }
  | { readonly kind: Exclude<ConsumerState, StateOutsideGroup> }

/** What the partitions are doing, taken together. */
export type HoldKind = 'open' | 'holding' | 'paused'

export type ConsumerSignal =
  | { readonly kind: 'started' }
  | { readonly kind: 'joined'; readonly hold: HoldKind }
  | { readonly kind: 'rebalancing' }
  | { readonly kind: 'hold_changed'; readonly hold: HoldKind }
  | { readonly kind: 'ended'; readonly reason: string }
  | { readonly kind: 'stopped' }

export const INITIAL_STATUS: ConsumerStatus = { kind: 'waiting', reason: 'not connected to Kafka yet' }

export function isJoined(status: ConsumerStatus): boolean {
  return !('reason' in status)
}

export function nextStatus(status: ConsumerStatus, signal: ConsumerSignal): ConsumerStatus {
  if (status.kind === 'stopped') return status
  switch (signal.kind) {
    case 'started':
      // Until it has joined, the reason of the last failure is the best one there is.
      return status.kind === 'waiting' ? { ...status, kind: 'joining' } : status
    case 'joined':
      return byHold(signal.hold)
    case 'rebalancing':
      return { kind: 'joining', reason: 'the group is rebalancing' }
    case 'hold_changed':
      return isJoined(status) ? byHold(signal.hold) : status
    case 'ended':
      return { kind: 'waiting', reason: signal.reason }
    case 'stopped':
      return { kind: 'stopped', reason: 'the process is stopping' }
  }
}

function byHold(hold: HoldKind): ConsumerStatus {
  return { kind: hold === 'open' ? 'consuming' : hold }
}

import type { HoldState } from './hold.ts'

/**
 * What the worker's consumer is doing, as a state machine.
 *
 * waiting    There is no KafkaJS consumer: Kafka is unreachable, the topic is missing, or the last consumer has crashed
 *            or stalled. After a backoff a new one starts → joining.
 * joining    A consumer connects, or its group rebalances. Once it has its partitions → consuming, or → holding or
 *            paused if the hold is not open.
 * consuming  Chunks are fetched and applied. A chunk fails → holding.
 * holding    The handler of a failed chunk tries it again (see Hold). A chunk becomes durable → consuming. It takes too
 *            long → paused.
 * paused     The topic is paused until a probe succeeds → holding, until the next chunk is durable.
 * stopped    The consumer has left the group, for good.
 *
 * A rebalance leads from everywhere to joining, and the end of the KafkaJS consumer to waiting.
 */
export type ConsumerStatus =
  /** Not in the consumer group, for this reason. */
  | { readonly kind: 'waiting' | 'joining' | 'stopped'; readonly reason: string }
  | { readonly kind: 'consuming' | 'holding' | 'paused' }

export type ConsumerEvent =
  | { readonly kind: 'started' }
  | { readonly kind: 'joined'; readonly hold: HoldState['kind'] }
  | { readonly kind: 'rebalancing' }
  | { readonly kind: 'hold_changed'; readonly hold: HoldState['kind'] }
  | { readonly kind: 'ended'; readonly reason: string }
  | { readonly kind: 'stopped' }

export const INITIAL_STATUS: ConsumerStatus = { kind: 'waiting', reason: 'not connected to Kafka yet' }

export function isJoined(status: ConsumerStatus): boolean {
  return !('reason' in status)
}

export function nextStatus(status: ConsumerStatus, event: ConsumerEvent): ConsumerStatus {
  if (status.kind === 'stopped') return status
  switch (event.kind) {
    case 'started':
      // Until it has joined, the reason of the last failure is the best one there is.
      return status.kind === 'waiting' ? { ...status, kind: 'joining' } : status
    case 'joined':
      return byHold(event.hold)
    case 'rebalancing':
      return { kind: 'joining', reason: 'the group is rebalancing' }
    case 'hold_changed':
      return isJoined(status) ? byHold(event.hold) : status
    case 'ended':
      return { kind: 'waiting', reason: event.reason }
    case 'stopped':
      return { kind: 'stopped', reason: 'the process is stopping' }
  }
}

function byHold(hold: HoldState['kind']): ConsumerStatus {
  return { kind: hold === 'open' ? 'consuming' : hold }
}

import { recordsBehind, type Position } from './records-behind.ts'

/**
 * What the lag of a partition means:
 *
 * ok           The lag was 0 at some time in the window, or the group catches up.
 * growing      The group reads, but less than is written.
 * standing     There are records to read, and a member that owns the partition, but the committed offset stays the same.
 * no_consumer  There are records to read, and no member of the group owns the partition.
 * shared       The owner is a member that does not read this topic, or another program in the group of our workers.
 * no_leader    No broker in service holds the partition.
 * unknown      There are records to read, and the window does not say yet whether they are being read.
 *
 * As in Burrow's evaluation rules, no threshold is needed: a short peak returns to 0, and a backlog that shrinks is no
 * fault, however long it is. Unlike Burrow, which sees commits, this sees positions at regular intervals.
 */
export const LAG_STATES = [
  'ok',
  'growing',
  'standing',
  'no_consumer',
  'shared',
  'no_leader',
  'unknown',
] as const
export type LagState = (typeof LAG_STATES)[number]

/**
 * Who owns the partition. `reader`: a member that reads the topic; `other`: one that does not. `unknown`: the group
 * rebalances.
 */
export type Ownership = 'reader' | 'other' | 'none' | 'unknown'

export type LagSample = {
  readonly atMs: number
  /** undefined: the partition has no leader. */
  readonly position: Position | undefined
  readonly ownership: Ownership
}

export type LagWindow = readonly LagSample[]

export type WindowLimits = {
  readonly windowMs: number
  /** Nothing is known of the time between two samples that are further apart. */
  readonly maxGapMs: number
}

/** A partition changes hands within seconds. */
const NO_CONSUMER_AFTER_MS = 15_000
const PARTS = 3

/** Forgets what is older than the window, and what says nothing about the group's reading since. */
export function addSample(window: LagWindow, sample: LagSample, limits: WindowLimits): LagWindow {
  const last = window.at(-1)
  if (last === undefined || !continues(last, sample, limits.maxGapMs)) return [sample]
  const added = [...window, sample]
  const begin = added.findLastIndex(({ atMs }) => sample.atMs - atMs >= limits.windowMs)
  return added.slice(Math.max(0, begin))
}

/** After a reset of the group's offsets, or in a topic that was created again, reading begins again. */
function continues(last: LagSample, next: LagSample, maxGapMs: number): boolean {
  if (last.position === undefined || next.position === undefined) return false
  const isRewound = (next.position.committed ?? -1) < (last.position.committed ?? -1)
  return next.atMs - last.atMs <= maxGapMs && !isRewound && next.position.end >= last.position.end
}

export function judgeLag(window: LagWindow, { windowMs }: Pick<WindowLimits, 'windowMs'>): LagState {
  const [first, last] = [window[0], window.at(-1)]
  if (first === undefined || last === undefined) return 'unknown'
  if (last.position === undefined) return 'no_leader'
  if (last.ownership === 'other') return 'shared'
  const lags = window.map(({ position }) => (position === undefined ? 0 : recordsBehind(position)))
  if (lags.at(-1) !== 0 && isWithoutConsumer(window, windowMs)) return 'no_consumer'
  if (lags.includes(0)) return 'ok'
  if (last.atMs - first.atMs < windowMs) return 'unknown'
  if (first.position?.committed === last.position.committed) return 'standing'
  return isGrowing(lags) ? 'growing' : 'ok'
}

/** A consumer that takes partitions without joining the group moves its commits. */
function isWithoutConsumer(window: LagWindow, windowMs: number): boolean {
  const last = window.at(-1)
  if (last?.ownership !== 'none') return false
  const begin = 1 + window.findLastIndex(({ ownership }) => ownership !== 'none')
  const unowned = window[begin]
  return (
    unowned !== undefined &&
    last.atMs - unowned.atMs >= Math.min(NO_CONSUMER_AFTER_MS, windowMs) &&
    unowned.position?.committed === last.position?.committed
  )
}

/** By the lowest lag of each third of the window: a single measurement may come just before or after a commit. */
function isGrowing(lags: readonly number[]): boolean {
  const lowest = Array.from({ length: PARTS }, (_, part) => {
    const [from, to] = [part, part + 1].map((edge) => Math.floor((edge * lags.length) / PARTS))
    return Math.min(...lags.slice(from, to))
  })
  return lags.length >= PARTS && lowest.every((lag, i) => i === 0 || lag > (lowest[i - 1] ?? Infinity))
}

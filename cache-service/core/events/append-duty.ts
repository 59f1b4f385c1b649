import type { GapReason } from './stream-entry.ts'

/**
 * What one kv-updater owes to the update stream, as a state machine.
 *
 * Several updaters receive every update, and each sets every value, at its own pace. Only the holder of a lease appends
 * the updates to the stream. A gap tells clients to read the values again, so it has to stand behind the last value that
 * was set without an event: not only behind what the holder has set, but also behind what others are still to set. The
 * holders therefore count their gaps in Redis. An updater that sets a value without an event after it has last seen the
 * count, and finds another count, cannot know on which side of the gap the update belongs. It appends a further gap as soon
 * as it has set everything that was published before it saw the new count.
 *
 * The inputs occur in the order of the updater's queue: a state is about everything that was received before. So a newer gap
 * is never cleared by an older one, and "the subscription was lost" occurs behind all updates that were received before
 * the loss, at the point from which updates are received again.
 *
 * standby     Another process holds the lease, or none does. `gapsSeen` (undefined: not read yet): every value that was
 *             published before the last of these gaps is set. `hasLateValues`: since a later gap, values were set without an event.
 *             Entered: at first; when another process holds the lease; when a value was set without an event.
 *             Left: by taking the lease.
 * appending   We hold the lease, and every value since then is in the stream.
 *             Entered: by appending the gap that was owed.
 *             Left: when an update is missed; when the lease is lost.
 * owing       We hold the lease, and something is missing in the stream. The gap is appended as soon as possible, before any
 *             further update.
 *             Entered: by taking the lease, since updates may have been missed before; by missing an update.
 *             Left: by appending the gap; when the lease is lost: its next holder appends one.
 */
export type AppendDuty =
  | { readonly kind: 'standby'; readonly gapsSeen: number | undefined; readonly hasLateValues: boolean }
  | { readonly kind: 'appending' }
  | { readonly kind: 'owing'; readonly reason: GapReason }

export type DutyInput =
  /** We hold the lease now, and did not hold it all the time. */
  | { readonly kind: 'lease_taken' }
  | { readonly kind: 'lease_lost' }
  /** An update was not received, was dropped, or may not be in the stream (any more) though it is set. */
  | { readonly kind: 'missed'; readonly reason: GapReason }
  /** The gap that was owed is in the stream. */
  | { readonly kind: 'gap_appended' }
  /** A value was set while another process held the lease, or none did. `gaps`: the count after that; undefined: not read. */
  | { readonly kind: 'set_without_event'; readonly gaps: number | undefined }
  /** Everything that was published before this count was read is set, and if there were late values, a gap follows them. */
  | { readonly kind: 'caught_up'; readonly gaps: number }

const FIRST = { kind: 'standby', gapsSeen: undefined, hasLateValues: false } as const

export const FIRST_DUTY: AppendDuty = FIRST

export function nextDuty(duty: AppendDuty, input: DutyInput): AppendDuty {
  switch (input.kind) {
    case 'lease_taken':
      return { kind: 'owing', reason: 'takeover' }
    case 'lease_lost':
      return duty.kind === 'standby' ? duty : FIRST_DUTY
    case 'missed':
      // In standby, the holder has received it; or it has not, and appends a gap of its own.
      return duty.kind === 'appending' ? { kind: 'owing', reason: input.reason } : duty
    case 'gap_appended':
      return duty.kind === 'owing' ? { kind: 'appending' } : duty
    case 'set_without_event':
      if (duty.kind !== 'standby') return { ...FIRST, hasLateValues: true }
      return input.gaps !== undefined && input.gaps === duty.gapsSeen
        ? duty
        : { ...duty, hasLateValues: true }
    case 'caught_up':
      return duty.kind === 'standby' ? { kind: 'standby', gapsSeen: input.gaps, hasLateValues: false } : duty
  }
}

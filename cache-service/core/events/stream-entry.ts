import { isEntryId, type EntryId, type EventPosition, type StreamName } from './event-position.ts'

/**
 * An entry of the event streams.
 *
 * update   a key-value was set; `json` is `{"type","updated","valid","values"}`, without `values` if they are too large
 *          to send to every client: clients then read them from the state
 * changed, deleted
 *          hints about devices: the ids of some of them, and the number of further changes
 * gap      entries before this one may be missing
 */
export type StreamEntry = { readonly id: EntryId } & (
  | { readonly kind: 'update'; readonly type: string; readonly json: string }
  | { readonly kind: 'changed' | 'deleted'; readonly deviceIds: readonly string[]; readonly more: number }
  | { readonly kind: 'gap'; readonly reason: string }
)

export type StreamEvent = { readonly stream: StreamName; readonly entry: StreamEntry }

/** Consecutive entries of a stream. */
export type EntryPage = {
  readonly entries: readonly StreamEntry[]
  /** The position to continue from; the start of the page if nothing follows. */
  readonly next: EntryId
}

/** Called in the same turn of the event loop as the position moves, so that events and position always agree. */
export type FollowListener = {
  /** At least one event, in stream order. `from` is before them; the position is already after them. */
  events(events: readonly StreamEvent[], from: EventPosition): void
  /** Events of these streams before the position may have been missed. */
  reset(streams: readonly StreamName[]): void
}

/** Why a gap was appended. */
export type GapReason =
  | 'takeover'
  | 'subscription_lost'
  | 'redis_failed'
  | 'overflow'
  /** Values were set behind a gap that may be about them. */
  | 'set_late'
  | 'missed'
  | 'rebuild'

const LINE_BREAK = /[\r\n]/

/** The fields of an entry, as XADD takes them. */
export function hintFields(
  kind: 'changed' | 'deleted',
  deviceIds: readonly string[],
  more: number,
): string[] {
  return ['kind', kind, 'ids', JSON.stringify(deviceIds), 'more', String(more)]
}

export function gapFields(reason: GapReason): string[] {
  return ['kind', 'gap', 'reason', reason]
}

/** An entry as Redis returns it: its id, and alternating names and values. undefined: this service did not write it. */
export function parseEntry(id: string, fields: readonly string[]): StreamEntry | undefined {
  if (!isEntryId(id)) return undefined
  const values = new Map<string, string>()
  for (let i = 0; i + 1 < fields.length; i += 2) values.set(fields[i] ?? '', fields[i + 1] ?? '')
  const kind = values.get('kind')
  switch (kind) {
    case 'update': {
      const type = values.get('type')
      const json = values.get('json')
      // A line break would end the data line of the SSE event.
      if (type === undefined || json === undefined || LINE_BREAK.test(json)) return undefined
      return { id, kind, type, json }
    }
    case 'changed':
    case 'deleted': {
      const deviceIds = parseIds(values.get('ids'))
      const more = Number(values.get('more') ?? 0)
      return deviceIds === undefined || !Number.isSafeInteger(more)
        ? undefined
        : { id, kind, deviceIds, more }
    }
    case 'gap':
      return { id, kind, reason: values.get('reason') ?? 'unknown' }
    case undefined:
    default:
      return undefined
  }
}

function parseIds(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined
  try {
    const ids: unknown = JSON.parse(text)
    return Array.isArray(ids) && ids.every((id) => typeof id === 'string') ? ids : undefined
  } catch {
    return undefined
  }
}

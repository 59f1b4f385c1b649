/** The two event streams, each with positions of its own. */
export const STREAM_NAMES = ['update', 'device'] as const
export type StreamName = (typeof STREAM_NAMES)[number]

/** An entry's id in a Redis stream: `<ms>-<sequence>`. `0-0` lies before every entry. */
export type EntryId = string

/** A position in both streams: to clients, the id of an event. */
export type EventPosition = Readonly<Record<StreamName, EntryId>>

export const BEFORE_ALL: EntryId = '0-0'

// 15 digits are exact as numbers and last beyond the year 30000.
const ENTRY_ID = /^(\d{1,15})-(\d{1,15})$/
const POSITION = /^(\d{1,15}-\d{1,15})\.(\d{1,15}-\d{1,15})$/

export function isEntryId(text: string): boolean {
  return ENTRY_ID.test(text)
}

/** `<position in update>.<position in device>`: safe in a header, a URL and a line of an SSE event. */
export function formatPosition({ update, device }: EventPosition): string {
  return `${update}.${device}`
}

/** undefined: the text is not a position. */
export function parsePosition(text: string): EventPosition | undefined {
  const [, update, device] = POSITION.exec(text) ?? []
  return update === undefined || device === undefined ? undefined : { update, device }
}

/** Negative: a is before b in their stream; 0: they are the same entry. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number)
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number)
  return aMs === bMs ? aSequence - bSequence : aMs - bMs
}

/** The later position of each stream. */
export function furthest(a: EventPosition, b: EventPosition): EventPosition {
  const later = (name: StreamName) => (compareEntryIds(a[name], b[name]) < 0 ? b[name] : a[name])
  return { update: later('update'), device: later('device') }
}

/** Whether `a` is at or after `b` in each of the given streams. */
export function hasReached(a: EventPosition, b: EventPosition, streams: Iterable<StreamName>): boolean {
  for (const name of streams) if (compareEntryIds(a[name], b[name]) < 0) return false
  return true
}

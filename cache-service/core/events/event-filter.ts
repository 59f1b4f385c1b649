import type { StreamName } from './event-position.ts'

/** Which events a client wants. */
export type EventFilter = {
  readonly streams: ReadonlySet<StreamName>
  /** undefined: every device. */
  readonly deviceIds: ReadonlySet<string> | undefined
  /** undefined: every type. */
  readonly updateTypes: ReadonlySet<string> | undefined
  /** Filters with the same key pass the same events. */
  readonly key: string
}

export function createEventFilter(
  streams: readonly StreamName[],
  deviceIds: readonly string[],
  updateTypes: readonly string[],
): EventFilter {
  const sorted = [streams, deviceIds, updateTypes].map((names) => [...new Set(names)].sort())
  return {
    streams: new Set(streams),
    deviceIds: deviceIds.length === 0 ? undefined : new Set(deviceIds),
    updateTypes: updateTypes.length === 0 ? undefined : new Set(updateTypes),
    key: JSON.stringify(sorted),
  }
}

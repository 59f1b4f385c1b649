import { parseJson } from '../../../shared/json.ts'
import type { WatchEvent } from '../../../shared/client/types.ts'
import { updateEventSchema } from '../../../shared/contract/api-schemas.ts'
import type { ClientEvent } from '../../core/events/client-event.ts'
import { formatPosition, type EventPosition } from '../../core/events/event-position.ts'

/** @returns undefined for an update that the kv-updater can't have written. */
export function watchEventOf(event: ClientEvent, position: EventPosition): WatchEvent | undefined {
  const id = formatPosition(position)
  if (event.kind !== 'update') return { ...event, id }
  const parsed = updateEventSchema.safeParse(parseJson(event.json))
  if (!parsed.success) return undefined
  const { too_large, type, updated, valid, values } = parsed.data
  return { kind: 'update', type, updated, valid, values, isTooLarge: too_large === true, id }
}

import { parseJsonKeepingDigits } from '../../../shared/exact-json.ts'
import { isObject } from '../../../shared/json.ts'
import { decodeJson, nestsWithin } from '../decode-json.ts'

/** What to write for one message of the update channel. */
export type KvUpdate = {
  /** The key. */
  readonly type: string
  /** Its value: `{"updated","valid","values"}`. */
  readonly value: string
  /** What the event stream carries: the whole message, or the message without its values if they are too large. */
  readonly event: string
}

export type ParsedKvUpdate =
  | { readonly kind: 'update'; readonly update: KvUpdate }
  | { readonly kind: 'not_json' }
  /** `type` is set if the message has one that is valid. */
  | { readonly kind: 'invalid'; readonly type: string | undefined; readonly detail: string }
  | { readonly kind: 'protected'; readonly type: string }

const MAX_TYPE_LENGTH = 1024
/** JSON.stringify overflows the stack at about 5,000 levels. */
const MAX_NESTING = 500
/** Every follower receives the event, and the stream keeps some thousands of them. */
const MAX_EVENT_CHARACTERS = 64 * 1024

/** @param isProtected whether a key belongs to the platform and so can't be the `type` of an update. */
export function parseKvUpdate(message: Buffer, isProtected: (key: string) => boolean): ParsedKvUpdate {
  const decoded = decodeJson(message)
  // No detail: it would quote the message.
  if (decoded.kind !== 'json') return { kind: 'not_json' }
  const json = parseJsonKeepingDigits(decoded.text)
  if (!isObject(json)) return invalid(undefined, 'the message is not an object')
  const { type, updated = null, valid = null, values } = json
  if (typeof type !== 'string' || type === '') return invalid(undefined, 'type must be a non-empty string')
  if (type.length > MAX_TYPE_LENGTH || !type.isWellFormed()) {
    return invalid(undefined, `type must be well-formed and have at most ${MAX_TYPE_LENGTH} characters`)
  }
  if (isEmpty(values)) return invalid(type, 'values must not be empty')
  if (!nestsWithin(json, MAX_NESTING))
    return invalid(type, `the message is nested deeper than ${MAX_NESTING} levels`)
  if (isProtected(type)) return { kind: 'protected', type }
  const value = JSON.stringify({ updated, valid, values })
  const whole = JSON.stringify({ type, updated, valid, values })
  const event =
    whole.length <= MAX_EVENT_CHARACTERS
      ? whole
      : JSON.stringify({ type, updated: brief(updated), valid: brief(valid), too_large: true })
  return { kind: 'update', update: { type, value, event } }
}

function invalid(type: string | undefined, detail: string): ParsedKvUpdate {
  return { kind: 'invalid', type, detail }
}

function isEmpty(values: unknown): boolean {
  if (values === undefined || values === null || values === '') return true
  return typeof values === 'object' && !JSON.isRawJSON(values) && Object.keys(values).length === 0
}

/** `updated` and `valid` are a time and a flag by convention; anything else in them must not be large either. */
function brief(value: unknown): unknown {
  return typeof value === 'object' || (typeof value === 'string' && value.length > 100) ? null : value
}

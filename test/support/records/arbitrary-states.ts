import * as fc from 'fast-check'
import { eventTimeFromMs } from '../../../cache-service/core/event-time.ts'
import type { DeviceState } from '../../../cache-service/core/records/order.ts'
import { anyCharacter } from './arbitrary-text.ts'
import { NOW_MS } from './record-builder.ts'

// Device states that are hard to order: few event times, and names and values that are empty, prefixes of each
// other, long and similar, contain NULs, or are ordered differently in UTF-16 and UTF-8.

const UNITS = ['\0', 'a', 'b', '\x7f', 'é', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}']

const short = fc.string({ unit: fc.constantFrom(...UNITS), maxLength: 3 })
const longAndSimilar = fc
  .record({ length: fc.constantFrom(60, 63, 64, 65, 127, 128, 129), end: short })
  .map(({ length, end }) => 'x'.repeat(length) + end)
const awkwardText = fc.oneof(
  { weight: 6, arbitrary: short },
  { weight: 2, arbitrary: fc.string({ unit: anyCharacter, maxLength: 8 }) },
  { weight: 1, arbitrary: longAndSimilar },
)

/** name, value, …: unique names ordered by their bytes, as core/records/metadata-fields.ts returns them. */
const awkwardFields = fc
  .uniqueArray(fc.tuple(awkwardText, awkwardText), { maxLength: 4, selector: ([name]) => name })
  .map((pairs) => pairs.filter(([name]) => name !== 'last_updated'))
  .map((pairs) => pairs.sort(([a], [b]) => (hex(a) < hex(b) ? -1 : 1)).flat())

export const awkwardState: fc.Arbitrary<DeviceState> = fc.record({
  lastUpdated: fc.constantFrom(NOW_MS - 1, NOW_MS).map((ms) => eventTimeFromMs(ms).text),
  fields: awkwardFields,
})

/** Two states, often with equal event times, often nearly identical. */
export const awkwardPair: fc.Arbitrary<readonly [DeviceState, DeviceState]> = fc.oneof(
  fc.tuple(awkwardState, awkwardState),
  fc.tuple(awkwardState, awkwardFields).map(([a, fields]) => [a, { ...a, fields }] as const),
  fc
    .tuple(awkwardState, fc.nat(), awkwardText)
    .map(([a, at, text]) => [a, withOtherValue(a, at, text)] as const),
  awkwardState.map((a) => [a, { ...a, fields: [...a.fields] }] as const),
)

function withOtherValue(state: DeviceState, at: number, text: string): DeviceState {
  const values = state.fields.length / 2
  if (values === 0) return state
  return { ...state, fields: state.fields.with(2 * (at % values) + 1, text) }
}

/**
 * A literal implementation of the order: by event time, then by the bytes of name, NUL, value, NUL over all fields;
 * different contents with equal bytes are ordered by their first different text.
 */
export function literalOrder(a: DeviceState, b: DeviceState): number {
  const byTime = Buffer.compare(Buffer.from(a.lastUpdated), Buffer.from(b.lastUpdated))
  if (byTime !== 0) return byTime
  const byContent = Buffer.compare(canonicalBytes(a), canonicalBytes(b))
  if (byContent !== 0) return byContent
  for (const [i, text] of a.fields.entries()) {
    const byText = Buffer.compare(Buffer.from(text), Buffer.from(b.fields[i] ?? ''))
    if (byText !== 0) return byText
  }
  return a.fields.length - b.fields.length
}

function canonicalBytes({ fields }: DeviceState): Buffer {
  const nul = Buffer.from([0])
  return Buffer.concat(fields.flatMap((text) => [Buffer.from(text), nul]))
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex')
}

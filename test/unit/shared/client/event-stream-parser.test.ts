import { createParser } from 'eventsource-parser'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventStreamParser } from '../../../../shared/client/event-stream-parser.ts'

function parse(pieces: readonly string[], maxCharacters = 1_000_000) {
  const retries: number[] = []
  const parser = new EventStreamParser(maxCharacters, (ms) => retries.push(ms))
  return { events: pieces.flatMap((piece) => parser.feed(piece)), retries }
}

/** What another implementation makes of the same stream. It has an id only for the event that contains it. */
function parseElsewhere(pieces: readonly string[]) {
  const retries: number[] = []
  const events: unknown[] = []
  const parser = createParser({
    onEvent: ({ data, event }) => events.push({ data, event }),
    onRetry: (ms) => retries.push(ms),
  })
  for (const piece of pieces) parser.feed(piece)
  return { events, retries }
}

const lines = fc.constantFrom(
  ...['data: a', 'data:b', 'data', 'data:  c: d', 'event: device', 'event:', 'id: 1-0', 'id', 'retry: 250'],
  ...['retry: soon', ': comment', ':', 'unknown: x', '', '', ''],
)
const streams = fc
  .array(fc.tuple(lines, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 30 })
  .map((parts) => parts.flat().join(''))

describe('an event stream', () => {
  test('is parsed as another implementation parses it, in whatever pieces it arrives', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(200), { maxLength: 8 }), (stream, cuts) => {
        const ends = [...cuts.map((cut) => Math.min(cut, stream.length)), 0, stream.length].sort(
          (a, b) => a - b,
        )
        const pieces = ends.slice(1).map((end, i) => stream.slice(ends[i], end))
        const { events, retries } = parse(pieces)
        const elsewhere = parseElsewhere([stream])
        expect(events.map(({ data, event }) => ({ data, event: event || undefined }))).toEqual(
          elsewhere.events,
        )
        expect(retries).toEqual(elsewhere.retries)
        expect(events).toEqual(parse([...stream]).events)
      }),
    )
  })

  test('keeps the last id for the events that have none, and ignores one with a NUL', () => {
    const { events } = parse(['data: 1\n\nid: a\n\ndata: 2\n\nid: b\0\ndata: 3\n\nid\ndata: 4\n\n'])
    expect(events.map(({ id }) => id)).toEqual([undefined, 'a', 'a', ''])
  })

  test('with an event beyond the limit is refused, whether its lines are long or many', () => {
    expect(() => parse(['data: 12345'], 10)).toThrow('more than 10 characters')
    expect(() => parse(Array(9).fill('data: 1\n'), 10)).toThrow('more than 10 characters')
    expect(parse(['data: 1\n\n'.repeat(9)], 10).events).toHaveLength(9)
  })
})

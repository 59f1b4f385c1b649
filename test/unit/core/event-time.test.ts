import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eventTimeFromMs, parseEventTime } from '../../../cache-service/core/event-time.ts'

const FIRST_MS = 0
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

const instantMs = fc.integer({ min: FIRST_MS, max: LAST_MS })
const fraction = fc.stringMatching(/^[0-9]{0,9}$/)

/** An instant as `isoformat` and others write it, and the expected result, which is computed with Date. */
const written = fc
  .record({
    secondMs: fc.integer({ min: 0, max: Math.floor(LAST_MS / 1000) }).map((seconds) => seconds * 1000),
    fraction,
    separator: fc.constantFrom('T', ' '),
    offsetMinutes: fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 }),
    zone: fc.constantFrom('naive', 'Z', '+HH:MM', '+HHMM'),
  })
  .map(({ secondMs, fraction: digits, separator, offsetMinutes, zone }) => {
    const isOffset = zone.startsWith('+')
    const localMs = isOffset ? secondMs + offsetMinutes * 60_000 : secondMs
    return { secondMs, digits, separator, offsetMinutes, zone, localMs }
  })
  .filter(({ localMs }) => localMs >= FIRST_MS && localMs <= LAST_MS)
  .map(({ secondMs, digits, separator, offsetMinutes, zone, localMs }) => {
    const [date, clock] = new Date(localMs).toISOString().slice(0, 19).split('T')
    const suffix = {
      naive: '',
      Z: 'Z',
      '+HH:MM': offset(offsetMinutes, ':'),
      '+HHMM': offset(offsetMinutes, ''),
    }
    const text = `${date}${separator}${clock}${digits === '' ? '' : '.'}${digits}${suffix[zone] ?? ''}`
    const micros = digits.slice(0, 6).padEnd(6, '0')
    return {
      text,
      expected: `${new Date(secondMs).toISOString().slice(0, 19)}.${micros}+00:00`,
      secondMs,
      micros,
    }
  })

function offset(minutes: number, colon: string): string {
  const size = Math.abs(minutes)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${colon}${two(size % 60)}`
}

test.each([
  ['2025-06-08T18:27:17.476623', '2025-06-08T18:27:17.476623+00:00', 'naive is UTC'],
  ['2025-06-08T18:27:17.476623Z', '2025-06-08T18:27:17.476623+00:00', 'Z'],
  ['2025-06-08t18:27:17.476623z', '2025-06-08T18:27:17.476623+00:00', 'lower case, as RFC 3339 allows'],
  ['2025-06-08T18:27:17.476623+00:00', '2025-06-08T18:27:17.476623+00:00', 'a zero offset'],
  ['2025-06-08T20:27:17.476623+02:00', '2025-06-08T18:27:17.476623+00:00', 'east'],
  ['2025-06-08T14:57:17.476623-03:30', '2025-06-08T18:27:17.476623+00:00', 'west, with half an hour'],
  ['2025-06-08T20:27:17.476623+0200', '2025-06-08T18:27:17.476623+00:00', 'no colon'],
  ['2025-06-08T20:27:17.476623+02', '2025-06-08T18:27:17.476623+00:00', 'hours only'],
  ['2025-06-08T18:27:17.476623-00:00', '2025-06-08T18:27:17.476623+00:00', 'a negative zero offset'],
  ['2025-06-08 18:27:17.476623', '2025-06-08T18:27:17.476623+00:00', 'a space'],
  ['2025-06-08 20:27:17+02:00', '2025-06-08T18:27:17.000000+00:00', 'a space and an offset'],
  ['2025-06-08T18:27:17', '2025-06-08T18:27:17.000000+00:00', 'no fraction'],
  ['2025-06-08T18:27:17.4', '2025-06-08T18:27:17.400000+00:00', 'one digit'],
  ['2025-06-08T18:27:17.47662', '2025-06-08T18:27:17.476620+00:00', 'five digits'],
  ['2025-06-08T18:27:17.476623999', '2025-06-08T18:27:17.476623+00:00', 'nine digits are truncated'],
  ['2025-06-08T23:59:59.999999999Z', '2025-06-08T23:59:59.999999+00:00', 'truncated, never rounded up'],
  ['2025-06-08T00:30:00+01:00', '2025-06-07T23:30:00.000000+00:00', 'the previous day in UTC'],
  ['2024-12-31T23:30:00-01:00', '2025-01-01T00:30:00.000000+00:00', 'the next year in UTC'],
  ['2024-02-29T00:00:00', '2024-02-29T00:00:00.000000+00:00', 'a leap year'],
  ['2000-02-29T00:00:00.000000', '2000-02-29T00:00:00.000000+00:00', 'a leap year divisible by 400'],
  ['1970-01-01T00:00:00', '1970-01-01T00:00:00.000000+00:00', 'the first instant'],
  ['1970-01-01T00:00:00.000000', '1970-01-01T00:00:00.000000+00:00', 'the first instant, on the fast path'],
  ['1969-12-31T23:30:00-01:00', '1970-01-01T00:30:00.000000+00:00', '1969 there, 1970 in UTC'],
  ['9999-12-31T23:59:59.999999', '9999-12-31T23:59:59.999999+00:00', 'the last instant'],
  ['9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.999999+00:00', 'the last instant, nine digits'],
])('%s is parsed as %s: %s', (text, expected) => {
  expect(parseEventTime(text)?.text).toBe(expected)
})

test.each([
  ['', 'empty'],
  ['yesterday', 'words'],
  ['2025-06-08', 'a date only'],
  ['18:27:17', 'a time only'],
  ['2025-06-08T18:27', 'no seconds'],
  ['2025-06-08T18:27:17.', 'a point without digits'],
  ['2025-06-08T18:27:17,5', 'a comma'],
  ['2025-06-08T18:27:17.1234567890', 'ten digits'],
  ['2025-06-08T18:27:17+2', 'an offset of one digit'],
  ['2025-06-08T18:27:17+02:', 'an offset that ends with the colon'],
  ['2025-06-08T18:27:17+02:0', 'an offset of three digits'],
  ['2025-06-08T18:27:17+24:00', 'an offset of a day'],
  ['2025-06-08T18:27:17+02:60', 'an offset of sixty minutes'],
  ['2025-06-08T18:27:17 UTC', 'a named zone'],
  ['2025-06-08T18:27:17Z+00:00', 'two zones'],
  ['2025-06-08  18:27:17', 'two spaces'],
  [' 2025-06-08T18:27:17', 'a leading space'],
  ['2025-06-08T18:27:17\n', 'a trailing line break'],
  ['2025-06-08T18:27:17.476623\n', 'a trailing line break on the fast path'],
  ['20250608T182717', 'the basic format'],
  ['2025-6-8T18:27:17', 'single digits'],
  ['2025-W23-7T18:27:17', 'a week date'],
  ['+2025-06-08T18:27:17', 'a signed year'],
  ['02025-06-08T18:27:17', 'a year of five digits'],
  ['2025-13-08T18:27:17', 'month 13'],
  ['2025-00-08T18:27:17', 'month 0'],
  ['2025-06-00T18:27:17', 'day 0'],
  ['2025-06-31T18:27:17', '31 June'],
  ['2025-06-31T18:27:17.476623', '31 June on the fast path'],
  ['2025-02-29T18:27:17', '29 February in a common year'],
  ['1900-02-29T18:27:17', '29 February in a year divisible by 100'],
  ['2100-02-29T18:27:17.000000', '29 February in a year divisible by 100, on the fast path'],
  ['2025-06-08T24:00:00', 'hour 24'],
  ['2025-06-08T18:60:17', 'minute 60'],
  ['2025-06-08T18:27:60', 'second 60'],
  ['2025-06-08T18:27:60.000000', 'second 60 on the fast path'],
  ['1969-12-31T23:59:59.999999', 'before 1970'],
  ['1969-12-31T23:59:59.9999999Z', 'a hundred nanoseconds before 1970'],
  ['1970-01-01T00:30:00+01:00', '1970 there, 1969 in UTC'],
  ['0000-01-01T00:00:00', 'the year 0'],
  ['0099-06-08T18:27:17', 'the first century'],
  ['9999-12-31T23:30:00-01:00', '9999 there, 10000 in UTC'],
  ['２０２５-06-08T18:27:17', 'digits of another script'],
  ['2025-06-08T18:27:1７.476623', 'one digit of another script'],
])('%j is refused: %s', (text) => {
  expect(parseEventTime(text)).toBeUndefined()
})

test('all spellings of an instant are normalised to the same text, the one that Date gives', () => {
  fc.assert(
    fc.property(written, ({ text, expected, secondMs, micros }) => {
      expect(parseEventTime(text)).toEqual({
        text: expected,
        ms: secondMs + Math.floor(Number(micros) / 1000),
      })
    }),
    { numRuns: 1_000 },
  )
})

test('a time is read in the same way whichever one was read before', () => {
  const within = { min: Date.UTC(2026, 1, 28, 23, 57), max: Date.UTC(2026, 2, 1, 0, 3) }
  const pad = (seconds: number) => String(seconds).padStart(2, '0')
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer(within), fc.integer({ min: 0, max: 75 }))), (times) => {
      for (const [instant, second] of times) {
        const minute = new Date(instant).toISOString().slice(0, 16)
        const ms = second > 59 ? undefined : Date.parse(`${minute}Z`) + second * 1_000 + 123
        expect(parseEventTime(`${minute}:${pad(second)}.123456`)?.ms).toBe(ms)
      }
    }),
  )
})

test('the string order of event times is their chronological order', () => {
  const near = fc.tuple(instantMs, fc.integer({ min: -2_000, max: 2_000 })).map(([ms, step]) => {
    return [ms, Math.min(LAST_MS, Math.max(FIRST_MS, ms + step))] as const
  })
  fc.assert(
    fc.property(fc.oneof(near, fc.tuple(instantMs, instantMs)), ([a, b]) => {
      const [textA, textB] = [eventTimeFromMs(a).text, eventTimeFromMs(b).text]
      expect(Math.sign(Number(textA > textB) - Number(textA < textB))).toBe(Math.sign(a - b))
    }),
    { numRuns: 1_000 },
  )
})

test('a normalised event time is parsed as itself', () => {
  fc.assert(
    fc.property(written, ({ expected }) => {
      expect(parseEventTime(expected)?.text).toBe(expected)
    }),
  )
})

test('exactly the days that exist in the calendar are accepted', () => {
  const day = fc.record({
    year: fc.integer({ min: 1970, max: 9999 }),
    month: fc.integer({ min: 0, max: 13 }),
    day: fc.integer({ min: 0, max: 32 }),
    tail: fc.constantFrom('T00:00:00', 'T00:00:00.000000'),
  })
  const usual = fc.record({
    year: fc.constantFrom(1970, 1972, 2000, 2023, 2024, 2100, 2400),
    month: fc.constantFrom(2, 4, 12),
    day: fc.integer({ min: 28, max: 31 }),
    tail: fc.constantFrom('T00:00:00', 'T00:00:00.000000'),
  })
  fc.assert(
    fc.property(fc.oneof(day, usual), ({ year, month, day: ofMonth, tail }) => {
      const exists =
        month >= 1 &&
        month <= 12 &&
        ofMonth >= 1 &&
        new Date(Date.UTC(year, month - 1, ofMonth)).getUTCMonth() === month - 1
      const text = `${year}-${String(month).padStart(2, '0')}-${String(ofMonth).padStart(2, '0')}${tail}`
      expect(parseEventTime(text) !== undefined).toBe(exists)
    }),
    { numRuns: 2_000 },
  )
})

describe('eventTimeFromMs', () => {
  test('returns six fractional digits', () => {
    expect(eventTimeFromMs(1749407237476)).toEqual({
      text: '2025-06-08T18:27:17.476000+00:00',
      ms: 1749407237476,
    })
  })

  test('agrees with parseEventTime', () => {
    fc.assert(
      fc.property(instantMs, (ms) => {
        expect(parseEventTime(eventTimeFromMs(ms).text)).toEqual(eventTimeFromMs(ms))
      }),
    )
  })
})

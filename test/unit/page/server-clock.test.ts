import { describe, expect, test } from 'vitest'
import { createServerClock } from '../../../cache-service/page/server-clock.js'

const NOON = Date.parse('2026-01-01T12:00:00Z')
const HOUR = 3_600_000

describe('the clock of the page', () => {
  test('is that of the computer while both agree within the resolution of the Date header', () => {
    const clock = createServerClock(() => NOON)
    clock.observe('Thu, 01 Jan 2026 11:59:59 GMT', NOON - 300, NOON)
    clock.observe('Thu, 01 Jan 2026 12:00:01 GMT', NOON, NOON + 200)
    expect([clock.now(), clock.offsetMs]).toEqual([NOON, 0])
  })

  test.each([-HOUR, HOUR])(
    'follows the server if the computer is wrong by %d ms, and when it is corrected',
    (wrong) => {
      let localMs = NOON + wrong
      const clock = createServerClock(() => localMs)
      clock.observe('Thu, 01 Jan 2026 12:00:00 GMT', localMs - 20, localMs)
      expect(Math.abs(clock.now() - NOON)).toBeLessThan(1_000)
      const { offsetMs } = clock
      // The next second: nothing jumps.
      localMs += 1_000
      clock.observe('Thu, 01 Jan 2026 12:00:01 GMT', localMs - 20, localMs)
      expect(clock.offsetMs).toBe(offsetMs)
      localMs = NOON + 2_000
      clock.observe('Thu, 01 Jan 2026 12:00:02 GMT', localMs - 20, localMs)
      expect(clock.offsetMs).toBe(0)
    },
  )

  test('ignores a reply without a date', () => {
    const clock = createServerClock(() => NOON)
    clock.observe(null, NOON, NOON)
    clock.observe('yesterday', NOON, NOON)
    expect(clock.now()).toBe(NOON)
  })
})

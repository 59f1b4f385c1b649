/** The Date header has a resolution of one second; smaller differences are not corrected. */
const TOLERANCE_MS = 2_000

/**
 * The time by the clock of the server. All ages on the page are differences to times that servers wrote, so a wrong clock
 * of the viewer's computer must not change them.
 */
export function createServerClock(localNow = () => Date.now()) {
  let offsetMs = 0
  return {
    now: () => localNow() + offsetMs,
    /** How far the server is ahead of this computer; 0: they agree. */
    get offsetMs() {
      return offsetMs
    },
    /** To call with the Date header of each reply, and the local times around its request. */
    observe(date, sentMs, receivedMs) {
      const serverMs = Date.parse(date ?? '')
      if (Number.isNaN(serverMs)) return
      const lowest = serverMs - receivedMs
      const highest = serverMs + 1_000 - sentMs
      if (offsetMs >= lowest - TOLERANCE_MS && offsetMs <= highest + TOLERANCE_MS) return
      const agrees = lowest - TOLERANCE_MS <= 0 && highest + TOLERANCE_MS >= 0
      offsetMs = agrees ? 0 : Math.round((lowest + highest) / 2)
    },
  }
}

/** Lets at most `perSecond` calls pass in any second, and counts those held back in between. */
export function createRateLimit(perSecond: number, monotonicNow: () => number) {
  let second = 0
  let passed = 0
  let heldBack = 0
  return {
    /** Returns undefined if this call is held back, else the number of calls held back since the last one passed. */
    pass(): number | undefined {
      const current = Math.floor(monotonicNow() / 1000)
      if (current !== second) {
        second = current
        passed = 0
      }
      if (passed === perSecond) {
        heldBack++
        return undefined
      }
      passed++
      const before = heldBack
      heldBack = 0
      return before
    },
  }
}

/** The field of a log line that says how many like it were held back before; none if none were. */
export function heldBackField(count: number): { readonly linesHeldBack?: number } {
  return count > 0 ? { linesHeldBack: count } : {}
}

/** Lets at most `perSecond` through in any second, and tells how many it held back since the last one. */
export function createRateLimit(perSecond: number, now: () => number) {
  let second = 0
  let passed = 0
  let heldBack = 0
  return {
    /** undefined: hold this one back; a number: let it through, so many were held back before it. */
    pass(): number | undefined {
      const current = Math.floor(now() / 1000)
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

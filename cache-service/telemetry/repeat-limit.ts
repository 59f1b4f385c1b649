const REPEAT_AFTER_MS = 60_000

/**
 * What lasts is tried again and again, and fails in the same way each time: it is logged when it begins, and once a minute
 * while it lasts.
 */
export function createRepeatLimit(monotonicNow: () => number) {
  /** By line, the one that was logged longest ago first. */
  const logged = new Map<string, { atMs: number; heldBack: number }>()

  function forgetBefore(ms: number): void {
    for (const [line, { atMs }] of logged) {
      if (atMs >= ms) return
      logged.delete(line)
    }
  }

  return {
    /** Returns undefined if the same line was logged within a minute, else how many have been held back since then. */
    pass(line: string): number | undefined {
      const nowMs = monotonicNow()
      forgetBefore(nowMs - 2 * REPEAT_AFTER_MS)
      const last = logged.get(line)
      if (last !== undefined && nowMs - last.atMs < REPEAT_AFTER_MS) {
        last.heldBack++
        return undefined
      }
      logged.delete(line)
      logged.set(line, { atMs: nowMs, heldBack: 0 })
      return last?.heldBack ?? 0
    },
    /** All is well again: what fails next is news. */
    reset: () => logged.clear(),
  }
}

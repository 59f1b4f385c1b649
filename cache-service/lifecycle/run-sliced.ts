/** How long other work of the process may have to wait for one slice. */
const SLICE_MS = 4

/**
 * Runs work that can be interrupted wherever it yields, in slices: between them, requests are served.
 *
 * @returns what the work returns. Rejects with the reason of the signal.
 */
export async function runSliced<T>(
  work: Generator<void, T>,
  signal: AbortSignal,
  monotonicNow: () => number,
): Promise<T> {
  for (;;) {
    signal.throwIfAborted()
    const endMs = monotonicNow() + SLICE_MS
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (monotonicNow() < endMs)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/**
 * What was acquired is released in reverse order. Every acquire pushes its release on the next line. A release
 * that fails does not keep the others from running; its error is reported at the end.
 */
export class ReleaseStack {
  readonly #releases: { name: string; release: () => Promise<unknown> | void }[] = []

  push(name: string, release: () => Promise<unknown> | void): void {
    this.#releases.push({ name, release })
  }

  async releaseAll(): Promise<void> {
    const errors: unknown[] = []
    for (let last = this.#releases.pop(); last !== undefined; last = this.#releases.pop()) {
      try {
        await last.release()
      } catch (error) {
        errors.push(new Error(`releasing ${last.name} failed`, { cause: error }))
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'not everything could be released')
  }
}

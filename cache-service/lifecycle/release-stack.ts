/**
 * Releases resources in reverse order of acquisition. Every acquisition pushes its release on the next line. A
 * failing release does not prevent the others; its error is reported at the end.
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
    if (errors.length > 0) throw new AggregateError(errors, 'some resources could not be released')
  }
}

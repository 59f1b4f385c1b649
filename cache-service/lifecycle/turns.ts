/** Steps that must not overlap, because each is decided by what the one before it has left. Other keys do not wait. */
export class Turns<Key> {
  /** Settles when the steps that were begun have ended. It never rejects. */
  readonly #ended = new Map<Key, Promise<unknown>>()

  /** Takes the step when those before it have ended, also if they failed. Settles as the step does. */
  take<Result>(key: Key, step: () => Promise<Result>): Promise<Result> {
    const turn = (this.#ended.get(key) ?? Promise.resolve()).then(step)
    this.#ended.set(
      key,
      turn.catch(() => undefined),
    )
    return turn
  }
}

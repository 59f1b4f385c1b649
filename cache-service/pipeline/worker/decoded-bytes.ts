/**
 * Bounds the decoded bytes that all lanes hold together, because a fetch can decompress to many times its size.
 *
 * How large a batch becomes is known only after decoding. So a lane waits until less than the bound is held, and may then
 * exceed it by one batch. Lanes decode one at a time, so that together they exceed it by no more than one batch.
 */
export class DecodedBytes {
  readonly #maxBytes: number
  readonly #waiting: (() => void)[] = []
  #held = 0
  #isDecoding = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * Waits for room, then runs `decode`. The caller must release the `bytes` of the result.
   *
   * @param hasUnfinished whether the caller holds bytes of a chunk that it has not handed on yet. It must not wait then,
   *   because all lanes could wait for each other: with no room this resolves with undefined, and the chunk has to end.
   */
  async hold<T extends { readonly bytes: number }>(
    decode: () => Promise<T>,
    hasUnfinished: boolean,
  ): Promise<T | undefined> {
    while (this.#isDecoding || this.#held >= this.#maxBytes) {
      if (hasUnfinished && !this.#isDecoding) return undefined
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#isDecoding = true
    try {
      const decoded = await decode()
      this.#held += decoded.bytes
      return decoded
    } finally {
      this.#isDecoding = false
      this.#wakeAll()
    }
  }

  release(bytes: number): void {
    this.#held -= bytes
    this.#wakeAll()
  }

  /** All of them: those that have an unfinished chunk give up, the others wait again. */
  #wakeAll(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

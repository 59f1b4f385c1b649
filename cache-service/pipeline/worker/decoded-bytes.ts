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

  /** Waits for room, then runs `decode`. The caller must release the `bytes` of the result. */
  async hold<T extends { readonly bytes: number }>(decode: () => Promise<T>): Promise<T> {
    while (this.#isDecoding || this.#held >= this.#maxBytes) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#isDecoding = true
    try {
      const decoded = await decode()
      this.#held += decoded.bytes
      return decoded
    } finally {
      this.#isDecoding = false
      this.#wakeNext()
    }
  }

  release(bytes: number): void {
    this.#held -= bytes
    this.#wakeNext()
  }

  #wakeNext(): void {
    if (!this.#isDecoding && this.#held < this.#maxBytes) this.#waiting.shift()?.()
  }
}

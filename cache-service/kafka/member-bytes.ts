/**
 * What members of a classic consumer group say about themselves, in the consumer protocol: an INT16 version, then the
 * fields of version 0; later versions only append. Other programs write such bytes as well, so nothing here throws.
 *
 * Source: ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json of Apache Kafka.
 */
export type Subscription = { readonly topics: readonly string[]; readonly userData: Buffer | undefined }

/** undefined: the bytes are not a subscription. */
export function readSubscription(bytes: Buffer): Subscription | undefined {
  return attempt(() => {
    const reader = new Reader(bytes)
    reader.int16()
    const topics = reader.array(() => reader.string())
    return { topics, userData: reader.bytes() }
  })
}

/** Topic → partitions; undefined: the bytes are not an assignment. */
export function readAssignment(bytes: Buffer): ReadonlyMap<string, readonly number[]> | undefined {
  return attempt(() => {
    const reader = new Reader(bytes)
    reader.int16()
    return new Map(reader.array(() => [reader.string(), reader.array(() => reader.int32())] as const))
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    // Buffer throws a RangeError for every offset outside of it.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

class Reader {
  readonly #buffer: Buffer
  #offset = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4))
  }

  string(): string {
    return this.#take(this.int16()).toString('utf8')
  }

  bytes(): Buffer | undefined {
    const length = this.int32()
    return length < 0 ? undefined : this.#take(length)
  }

  array<T>(read: () => T): T[] {
    const count = this.int32()
    const items: T[] = []
    // Every item has at least two bytes, so that a false count ends soon.
    for (let i = 0; i < count; i++) items.push(read())
    return items
  }

  #take(length: number): Buffer {
    const begin = this.#advance(length)
    return this.#buffer.subarray(begin, this.#offset)
  }

  #advance(length: number): number {
    const begin = this.#offset
    if (length < 0 || begin + length > this.#buffer.length) throw new RangeError('the bytes end too soon')
    this.#offset += length
    return begin
  }
}

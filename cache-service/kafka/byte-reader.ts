/** Reads the fields of Kafka's protocol in order. Every method throws a RangeError if the bytes end too soon. */
export class ByteReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int8(): number {
    return this.take(1).readInt8()
  }

  int16(): number {
    return this.take(2).readInt16BE()
  }

  int32(): number {
    return this.take(4).readInt32BE()
  }

  /** STRING: the length is an INT16. */
  string(): string {
    return this.take(this.int16()).toString('utf8')
  }

  /** NULLABLE_BYTES: the length is an INT32. */
  bytes(): Buffer | undefined {
    const length = this.int32()
    return length < 0 ? undefined : this.take(length)
  }

  /** ARRAY: the number of items is an INT32. A false one ends soon, because every item has at least one byte. */
  array<T>(read: () => T): T[] {
    return this.items(this.int32(), read)
  }

  protected items<T>(count: number, read: () => T): T[] {
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(read())
    return items
  }

  /** A view of the next bytes. */
  take(length: number): Buffer {
    const begin = this.#offset
    if (length < 0 || begin + length > this.#bytes.length) throw new RangeError('the bytes end too soon')
    this.#offset += length
    return this.#bytes.subarray(begin, this.#offset)
  }
}

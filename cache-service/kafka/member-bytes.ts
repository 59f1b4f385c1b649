import { ByteReader } from './byte-reader.ts'

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
    const reader = new ByteReader(bytes)
    reader.int16()
    const topics = reader.array(() => reader.string())
    return { topics, userData: reader.bytes() }
  })
}

/** Topic → partitions; undefined: the bytes are not an assignment. */
export function readAssignment(bytes: Buffer): ReadonlyMap<string, readonly number[]> | undefined {
  return attempt(() => {
    const reader = new ByteReader(bytes)
    reader.int16()
    return new Map(reader.array(() => [reader.string(), reader.array(() => reader.int32())] as const))
  })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

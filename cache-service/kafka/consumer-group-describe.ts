import { ByteReader } from './byte-reader.ts'

/**
 * The request ConsumerGroupDescribe, which KafkaJS does not know: the members of a group of the newer protocol (KIP-848).
 * Kafka lets classic members such as our workers join such a group, and describes it to DescribeGroups as dead.
 *
 * Source: ConsumerGroupDescribeRequest.json and ConsumerGroupDescribeResponse.json of Apache Kafka.
 */
export const CONSUMER_GROUP_DESCRIBE = 69
const MAX_VERSION = 1

export type NewerGroup = {
  readonly errorCode: number
  readonly groupId: string
  readonly state: string
  readonly members: readonly NewerMember[]
}

export type NewerMember = {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  readonly topics: readonly string[]
  /** Topic → partitions. */
  readonly assignment: ReadonlyMap<string, readonly number[]>
  /** It uses the newer protocol; undefined: the broker does not report it. */
  readonly isOfNewerProtocol: boolean | undefined
}

/** The pair that a connection of KafkaJS sends. @param maxVersion what the broker understands. */
export function consumerGroupDescribe(groupId: string, maxVersion: number) {
  const version = Math.min(maxVersion, MAX_VERSION)
  const id = Buffer.from(groupId, 'utf8')
  // The end of a flexible request header, groups, include_authorized_operations, and the end of the request.
  const body = Buffer.concat([Buffer.of(0, 2), varint(id.length + 1), id, Buffer.of(0, 0)])
  return {
    request: {
      apiKey: CONSUMER_GROUP_DESCRIBE,
      apiVersion: version,
      apiName: 'ConsumerGroupDescribe',
      body,
    },
    response: {
      decode: async (bytes: Buffer) => readResponse(bytes, version),
      parse: async (groups: readonly NewerGroup[]) => groups,
    },
  }
}

function readResponse(bytes: Buffer, version: number): NewerGroup[] {
  const reader = new CompactReader(bytes)
  reader.tags() // of the header
  reader.int32() // throttle time
  const groups = reader.array(() => {
    const errorCode = reader.int16()
    reader.string() // error message
    const groupId = reader.string()
    const state = reader.string()
    reader.int32() // group epoch
    reader.int32() // assignment epoch
    reader.string() // assignor
    const members = reader.array(() => readMember(reader, version))
    reader.int32() // authorized operations
    reader.tags()
    return { errorCode, groupId, state, members }
  })
  reader.tags()
  return groups
}

function readMember(reader: CompactReader, version: number): NewerMember {
  const memberId = reader.string()
  reader.string() // instance id
  reader.string() // rack
  reader.int32() // member epoch
  const clientId = reader.string()
  const clientHost = reader.string()
  const topics = reader.array(() => reader.string())
  reader.string() // regular expression
  const assignment = readAssignment(reader)
  readAssignment(reader) // target assignment
  const type = version >= 1 ? reader.int8() : undefined
  reader.tags()
  const isOfNewerProtocol = type === undefined || type < 0 ? undefined : type === 1
  return { memberId, clientId, clientHost, topics, assignment, isOfNewerProtocol }
}

function readAssignment(reader: CompactReader): ReadonlyMap<string, readonly number[]> {
  const partitions = reader.array(() => {
    reader.take(16) // topic id
    const topic = reader.string()
    const numbers = reader.array(() => reader.int32())
    reader.tags()
    return [topic, numbers] as const
  })
  reader.tags()
  return new Map(partitions)
}

/** Reads what Kafka calls flexible versions: lengths are varints and one too large; 0 stands for null. */
class CompactReader extends ByteReader {
  /** Null is read as an empty text: no field here tells them apart. */
  override string(): string {
    return this.take(Math.max(0, this.#varint() - 1)).toString('utf8')
  }

  override array<T>(read: () => T): T[] {
    return this.items(this.#varint() - 1, read)
  }

  tags(): void {
    this.items(this.#varint(), () => {
      this.#varint()
      this.take(this.#varint())
    })
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.take(1).readUInt8()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a varint is too long')
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return Buffer.from([...bytes, rest])
}

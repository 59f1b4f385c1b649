// Corrections of what KafkaJS does about offsets that Kafka does not have: see kafkajs.ts.

const OFFSET_OUT_OF_RANGE = 1
/** Stands for the first offset in a request for offsets. */
const EARLIEST = -2

type FetchedPartitionData = { readonly partition: number; readonly errorCode: number; earliest?: number }
type Topics = readonly { readonly topicName: string; readonly partitions: readonly FetchedPartitionData[] }[]
type FetchResponse = { readonly responses: Topics }
type FetchResponseDecoder = {
  readonly decode: unknown
  readonly parse: (data: FetchResponse) => Promise<FetchResponse>
}

/** KafkaJS rejects the whole fetch if one partition is out of range. Responses of later versions use this as well. */
export function fetchResponse(original: unknown): FetchResponseDecoder {
  const { decode, parse } = original as FetchResponseDecoder
  return {
    decode,
    async parse(data) {
      const responses = data.responses.map((topic) => ({
        ...topic,
        partitions: topic.partitions.filter(({ errorCode }) => errorCode !== OFFSET_OUT_OF_RANGE),
      }))
      await parse({ ...data, responses })
      return data
    },
  }
}

type OffsetsRequest = {
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[]
  }[]
}
type Offsets = readonly {
  readonly topic: string
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
}[]
type BrokerClass = new (...args: unknown[]) => {
  fetch(request: object): Promise<FetchResponse>
  listOffsets(request: OffsetsRequest): Promise<{ readonly responses: Offsets }>
}

/**
 * If an offset is out of range, KafkaJS commits -2, which stands for the earliest one, and reads from there. While the partition
 * has no records, that commit stays: tools take the lag to be the partition's end, and the partition's owner never learns
 * that its position has moved. Here the fetch of the partition tells its earliest offset (FetchedPartition), and what is committed
 * is what the consumer commits.
 */
export function withEarliestOffsets(original: unknown): BrokerClass {
  const Broker = original as BrokerClass
  return class extends Broker {
    override async fetch(request: object): Promise<FetchResponse> {
      const fetched = await super.fetch(request)
      const topics = fetched.responses.flatMap(({ partitions, topicName }) => {
        const outOfRange = partitions.filter(({ errorCode }) => errorCode === OFFSET_OUT_OF_RANGE)
        return outOfRange.length === 0 ? [] : [{ topic: topicName, partitions: outOfRange }]
      })
      if (topics.length === 0) return fetched
      const { responses } = await this.listOffsets({
        topics: topics.map(({ partitions, topic }) => ({
          topic,
          partitions: partitions.map(({ partition }) => ({ partition, timestamp: EARLIEST })),
        })),
      })
      for (const { partitions, topic } of topics) {
        const found = responses.filter((one) => one.topic === topic).flatMap((one) => one.partitions)
        for (const data of partitions) {
          const offset = found.find(({ partition }) => partition === data.partition)?.offset
          if (offset !== undefined) data.earliest = Number(offset)
        }
      }
      return fetched
    }
  }
}

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { compileFunction } from 'node:vm'
import type KafkaJs from 'kafkajs'
import type { Admin } from 'kafkajs'
import { messageOf } from '../../shared/errors.ts'
import { brokerAddress } from './broker-address.ts'
import { consumerGroupDescribe, CONSUMER_GROUP_DESCRIBE, type NewerGroup } from './consumer-group-describe.ts'
import { FetchedPartition } from './fetched-partition.ts'

/**
 * The only entrance to KafkaJS: the other files of this folder import it from here; the rest of the service does not
 * use it.
 *
 * KafkaJS 2.2.4 is the last release, so we correct its bugs ourselves. Those that no setting avoids are corrected in a
 * private copy, which is loaded here module by module; other code in the process that imports KafkaJS gets the original.
 * test/integration/kafka/kafkajs.test.ts tests each correction on a real broker.
 */
type Replacement = (original: unknown) => unknown

/** Path in the package → what replaces that module. */
const replacements: Readonly<Record<string, Replacement>> = {
  // KafkaJS decodes a whole fetch at once, merges headers in quadratic time, overflows the stack above 125,000 records,
  // loses the offsets that hold no record, and lets one corrupt batch fail the fetch of every partition. Here the bytes go
  // to FetchedPartition undecoded, and are decoded batch by batch (record-batch.ts).
  'src/protocol/requests/fetch/v4/decodeMessages.js': () => readBytes,
  'src/consumer/batch.js': () => FetchedPartition,
  'src/consumer/workerQueue.js': () => createWorkerQueue,
  'src/cluster/connectionPoolBuilder.js': withBootstrapAddresses,
  'src/broker/index.js': withFailuresAsConnectionErrors,
  'src/network/requestQueue/index.js': withTimeoutOfFirstRequest,
  'src/cluster/index.js': withReasonForNoCoordinator,
  'src/protocol/recordBatch/record/v0/index.js': recordEncoder,
  'src/protocol/requests/metadata/v4/request.js': metadataRequest,
  'src/admin/index.js': adminClient,
}

/**
 * KafkaJS measures intervals with `Date.now()`: after the host's clock was set back by an hour, it would send no heartbeat
 * and let no request time out for an hour. Only its encoders, in src/protocol, use it for the times of records.
 */
class MonotonicDate extends Date {
  static override now(): number {
    return Math.floor(performance.timeOrigin + performance.now())
  }
}

const require = createRequire(import.meta.url)
const root = dirname(require.resolve('kafkajs/package.json'))
const modules = new Map<string, { exports: unknown }>()

function load(file: string): unknown {
  const loaded = modules.get(file)
  if (loaded !== undefined) return loaded.exports
  const module: { exports: unknown } = { exports: {} }
  modules.set(file, module)
  const source = readFileSync(file, 'utf8')
  if (file.endsWith('.json')) {
    module.exports = JSON.parse(source)
  } else {
    const { resolve } = createRequire(file)
    const requireFrom = (id: string): unknown => (id.startsWith('.') ? load(resolve(id)) : require(id))
    const names = ['module', 'exports', 'require', '__filename', '__dirname', 'Date']
    const run = compileFunction(source, names, { filename: file })
    const isProtocol = relative(root, file).startsWith('src/protocol/')
    run(module, module.exports, requireFrom, file, dirname(file), isProtocol ? Date : MonotonicDate)
  }
  const replace = replacements[relative(root, file)]
  if (replace !== undefined) module.exports = replace(module.exports)
  return module.exports
}

export const kafkajs = load(require.resolve('kafkajs')) as typeof KafkaJs

type Decoder = {
  readInt32(): number
  canReadBytes(count: number): boolean
  readBytes(count: number): Buffer
}

const NOTHING = Buffer.alloc(0)
const ADMIN_METADATA_MAX_AGE_MS = 1_000
const READ_UNCOMMITTED = 0

async function readBytes(decoder: Decoder): Promise<Buffer> {
  const size = decoder.readInt32()
  return size > 0 && decoder.canReadBytes(size) ? decoder.readBytes(size) : NOTHING
}

type QueuedFetch = { readonly batch: unknown; resolve(): void; reject(error: unknown): void }
type FetchWorker = { run(source: { next(): QueuedFetch | undefined }): Promise<void> }

/** KafkaJS wakes all of its workers for each fetch, even if it is of one partition. Here each takes one handler call. */
function createWorkerQueue({ workers }: { readonly workers: readonly FetchWorker[] }) {
  const idle = [...workers]
  const queue: QueuedFetch[] = []
  function start(): void {
    while (idle.length > 0 && queue.length > 0) {
      const worker = idle.pop()
      const item = queue.shift()
      if (worker !== undefined && item !== undefined) void run(worker, item)
    }
  }
  async function run(worker: FetchWorker, item: QueuedFetch): Promise<void> {
    const items = [item]
    await worker.run({ next: () => items.pop() })
    idle.push(worker)
    start()
  }
  return {
    async push(...batches: readonly unknown[]): Promise<void> {
      const handled = batches.map((batch) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        queue.push({ batch, resolve, reject })
        return promise
      })
      start()
      const failure = (await Promise.allSettled(handled)).find(({ status }) => status === 'rejected')
      if (failure?.status === 'rejected') throw failure.reason
    },
  }
}

type PoolBuilder = { build(destination?: { host?: string; port?: number }): Promise<unknown> }
type CreatePoolBuilder = (options: { readonly brokers: readonly string[] }) => PoolBuilder

/** Bootstrap addresses → the position of the one that no client of this process has found to fail. */
const firstToTry = new Map<string, number>()

/**
 * KafkaJS reads everything after the first colon of a bootstrap address as the port, and lets every client wait for the same
 * failing address again. It asks for another address only when the previous one has failed.
 */
function withBootstrapAddresses(original: unknown): CreatePoolBuilder {
  const create = original as CreatePoolBuilder
  return (options) => {
    const { brokers } = options
    const builder = create(options)
    let failed: number | undefined
    const nextAddress = () => {
      const first = firstToTry.get(brokers.join()) ?? 0
      // Another client may have moved on meanwhile.
      const position = first === failed ? (first + 1) % brokers.length : first
      firstToTry.set(brokers.join(), position)
      failed = position
      return brokerAddress(brokers[position] ?? '')
    }
    return {
      build: (destination = {}) =>
        builder.build(destination.host === undefined ? nextAddress() : destination),
    }
  }
}

type BrokerClass = new (...args: unknown[]) => {
  readonly connectionPool: { readonly host: string; readonly port: number }
  connect(): Promise<void>
}

/**
 * KafkaJS tries the next bootstrap broker only after an error of exactly this name. It would retry an address that never
 * answers, closes every connection, or is not a Kafka broker. Only a refused login would be refused elsewhere as well.
 */
function withFailuresAsConnectionErrors(original: unknown): BrokerClass {
  const Broker = original as BrokerClass
  return class extends Broker {
    override async connect(): Promise<void> {
      try {
        await super.connect()
      } catch (error) {
        const { KafkaJSConnectionError, KafkaJSProtocolError, KafkaJSSASLAuthenticationError } = kafkajs
        if (error instanceof KafkaJSProtocolError || error instanceof KafkaJSSASLAuthenticationError)
          throw error
        if (error instanceof Error && error.name === 'KafkaJSConnectionError') throw error
        const { host, port } = this.connectionPool
        throw new KafkaJSConnectionError(`${host}:${port}: ${messageOf(error)}`)
      }
    }
  }
}

type MetadataRequest = {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  readonly encode: () => Promise<Encoder>
}

/**
 * A client of KafkaJS that knows no topic yet asks for the metadata of all topics, and fails if a partition of any of
 * them has no leader. Here it asks for the metadata of no topic, which still names the brokers. Requests of later versions
 * build on this one, and earlier versions are older than the record format that we read.
 */
function metadataRequest(original: unknown) {
  const create = original as (options: object) => MetadataRequest
  const Encoder = load(join(root, 'src/protocol/encoder.js')) as new () => Encoder
  return (options: { readonly topics: readonly string[]; readonly allowAutoTopicCreation?: boolean }) => ({
    ...create(options),
    encode: async () =>
      new Encoder().writeArray(options.topics).writeBoolean(options.allowAutoTopicCreation ?? true),
  })
}

type Coordinator = {
  readonly versions: Readonly<Record<number, { readonly maxVersion: number } | undefined>> | null
  readonly connectionPool: { send(protocol: object): Promise<readonly NewerGroup[]> }
}
type Cluster = {
  readonly brokerPool: { metadataMaxAge: number }
  isolationLevel: number | undefined
  findGroupCoordinator(group: { readonly groupId: string }): Promise<Coordinator>
}
type CreateAdmin = (options: { readonly cluster: Cluster }) => Admin

const clusters = new WeakMap<Admin, Cluster>()

/** An admin client has no setting for the age of its metadata: for five minutes it would not see added partitions. */
function adminClient(original: unknown): CreateAdmin {
  const create = original as CreateAdmin
  return (options) => {
    options.cluster.brokerPool.metadataMaxAge = ADMIN_METADATA_MAX_AGE_MS
    const admin = create(options)
    clusters.set(admin, options.cluster)
    return admin
  }
}

/** By default the end of a partition is where its first open transaction begins; after this, records behind that count. */
export function countOpenTransactions(admin: Admin): void {
  const cluster = clusters.get(admin)
  if (cluster !== undefined) cluster.isolationLevel = READ_UNCOMMITTED
}

/** undefined: there is no such group of the newer protocol (consumer-group-describe.ts). */
export async function describeConsumerGroup(admin: Admin, groupId: string): Promise<NewerGroup | undefined> {
  const coordinator = await clusters.get(admin)?.findGroupCoordinator({ groupId })
  const version = coordinator?.versions?.[CONSUMER_GROUP_DESCRIBE]
  if (coordinator === undefined || version === undefined) return undefined
  const { request, response } = consumerGroupDescribe(groupId, version.maxVersion)
  const Encoder = load(join(root, 'src/protocol/encoder.js')) as new () => Encoder
  const encode = async () => {
    const encoder = new Encoder()
    encoder.writeBufferInternal(request.body)
    return encoder
  }
  const groups = await coordinator.connectionPool.send({ request: { ...request, encode }, response })
  return groups.find((group) => group.groupId === groupId && group.errorCode === 0)
}

type GroupRequest = { readonly groupId: string; readonly coordinatorType: number }
type FoundCoordinator = { readonly coordinator: unknown }
type CoordinatorFinder = { findGroupCoordinator(request: GroupRequest): Promise<FoundCoordinator> }
type ClusterClass = new (...args: unknown[]) => {
  readonly brokerPool: {
    withBroker<Result>(
      use: (one: { readonly broker: CoordinatorFinder }) => Promise<Result>,
    ): Promise<Result | null>
  }
  findGroupCoordinatorMetadata(request: GroupRequest): Promise<FoundCoordinator>
}

/**
 * KafkaJS asks one broker after the other for the coordinator of a group, and drops their replies: without the permission
 * for the group, it says only that there is no coordinator, as in an outage. Here they are asked once more, and the last reply is the error.
 */
function withReasonForNoCoordinator(original: unknown): ClusterClass {
  const Cluster = original as ClusterClass
  return class extends Cluster {
    override async findGroupCoordinatorMetadata(request: GroupRequest): Promise<FoundCoordinator> {
      try {
        return await super.findGroupCoordinatorMetadata(request)
      } catch (error) {
        let reply = error
        const found = await this.brokerPool.withBroker(async ({ broker }) => {
          return await broker.findGroupCoordinator(request).catch((refusal: unknown) => {
            reply = refusal
            throw refusal
          })
        })
        if (found !== null) return found
        throw reply
      }
    }
  }
}

type PushedRequest = { readonly entry: { readonly apiKey: number }; readonly requestTimeout?: number | null }
type RequestQueueClass = new (...args: unknown[]) => {
  createSocketRequest(pushed: PushedRequest): { requestTimeout: number }
}

const API_VERSIONS = 18

/** KafkaJS asks for the first answer within the connection timeout, but waits for the whole request timeout. */
function withTimeoutOfFirstRequest(original: unknown): RequestQueueClass {
  const RequestQueue = original as RequestQueueClass
  return class extends RequestQueue {
    override createSocketRequest(pushed: PushedRequest): { requestTimeout: number } {
      const request = super.createSocketRequest(pushed)
      if (pushed.entry.apiKey === API_VERSIONS)
        request.requestTimeout = pushed.requestTimeout ?? request.requestTimeout
      return request
    }
  }
}

type RecordToWrite = {
  readonly offsetDelta?: number
  readonly timestampDelta?: unknown
  readonly key: unknown
  readonly value: unknown
  readonly headers?: Readonly<Record<string, unknown>>
}
type Encoder = {
  size(): number
  writeInt8(value: number): Encoder
  writeArray(values: readonly string[]): Encoder
  writeBoolean(value: boolean): Encoder
  writeBufferInternal(bytes: Buffer): void
  writeVarInt(value: number): Encoder
  writeVarLong(value: unknown): Encoder
  writeVarIntString(value: string): Encoder
  writeVarIntBytes(value: unknown): Encoder
  writeEncoder(value: Encoder): Encoder
}

/** KafkaJS reads null headers, but fails to compute the size of one that it writes. */
function recordEncoder(): (record: RecordToWrite) => Encoder {
  const Encoder = load(join(root, 'src/protocol/encoder.js')) as new () => Encoder
  return ({ headers = {}, key, offsetDelta = 0, timestampDelta = 0, value }) => {
    const fields = Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one: unknown) => [name, one] as const),
    )
    const body = new Encoder()
      .writeInt8(0)
      .writeVarLong(timestampDelta)
      .writeVarInt(offsetDelta)
      .writeVarIntBytes(key)
      .writeVarIntBytes(value)
      .writeVarInt(fields.length)
    for (const [name, one] of fields) body.writeVarIntString(name).writeVarIntBytes(one)
    return new Encoder().writeVarInt(body.size()).writeEncoder(body)
  }
}

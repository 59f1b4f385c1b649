/**
 * Processor time in µs, from the figures in docs/performance.md: a record costs the worker `perRecord`, and one that no later
 * record of its chunk supersedes `perWrite` more. Of 1,000 devices in 3 partitions, 13 % of the records of a chunk are written; of
 * 100,000, almost all.
 */
const WORKER_US = { perRecord: 6.2, perWrite: 2.9 }
const REDIS_US_PER_WRITE = 7
const KAFKA_US_PER_RECORD = 0.4
/** What a write adds to the record's metadata: key, expiry, framing. */
const WRITE_BYTES = 250

export type Load = {
  /** Per second. */
  readonly records: number
  readonly devices: number
  readonly bytes: number
  readonly chunk: number
  readonly partitions: number
  /** Of a processor: 0 to 1. */
  readonly utilization: number
}

export type Size = {
  /** The part of the records that is written to Redis: the others are superseded within their chunks. */
  readonly written: number
  readonly workers: number
  /** One Redis process uses one processor for commands, so this is the number of masters as well. */
  readonly redisMasters: number
  readonly kafkaProcessors: number
  readonly recordsPerWorker: number
  readonly kafkaMBPerSecond: number
  readonly redisMBPerSecond: number
}

/** Assumes that the devices report in random order, and that chunks are full, as they are when a backlog is read. */
export function sizeFor({ bytes, chunk, devices, partitions, records, utilization }: Load): Size {
  const perPartition = Math.max(devices / partitions, 1)
  const distinct = perPartition * (1 - (1 - 1 / perPartition) ** chunk)
  const written = distinct / chunk
  const workerUs = WORKER_US.perRecord + WORKER_US.perWrite * written
  const processors = (us: number) => Math.ceil((records * us) / 1e6 / utilization)
  const workers = processors(workerUs)
  return {
    written,
    workers,
    redisMasters: processors(REDIS_US_PER_WRITE * written),
    kafkaProcessors: processors(KAFKA_US_PER_RECORD),
    recordsPerWorker: Math.floor(records / workers),
    kafkaMBPerSecond: (records * bytes) / 1e6,
    redisMBPerSecond: (records * written * WRITE_BYTES) / 1e6,
  }
}

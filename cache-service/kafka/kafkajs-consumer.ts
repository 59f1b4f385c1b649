// Corrections of KafkaJS's consumer: see kafkajs.ts.

type Decoder = {
  readInt32(): number
  canReadBytes(count: number): boolean
  readBytes(count: number): Buffer
}

const NOTHING = Buffer.alloc(0)

export async function readBytes(decoder: Decoder): Promise<Buffer> {
  const size = decoder.readInt32()
  return size > 0 && decoder.canReadBytes(size) ? decoder.readBytes(size) : NOTHING
}

type QueuedFetch = { readonly batch: unknown; resolve(): void; reject(error: unknown): void }
type FetchWorker = { run(source: { next(): QueuedFetch | undefined }): Promise<void> }

/** KafkaJS wakes all of its workers for each fetch, even if it is of one partition. Here each takes one handler call. */
export function createWorkerQueue({ workers }: { readonly workers: readonly FetchWorker[] }) {
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

import type { SourceEdit } from '../support/source-edits.ts'

const ON_ANY_REDIS: Readonly<Record<string, SourceEdit | readonly SourceEdit[]>> = {
  'a chunk counts as durable before it is written': {
    file: 'cache-service/pipeline/worker/lane.ts',
    replace: 'const outcome = await steps.write(prepared)',
    by: 'this.#durable = chunk.next; const outcome = await steps.write(prepared)',
  },
  'a failed chunk is skipped': {
    file: 'cache-service/pipeline/worker/lane.ts',
    replace: 'if (await this.#write(chunk, prepared, epoch)) return',
    by: 'await this.#write(chunk, prepared, epoch); return',
  },
  'the guard is not asked before a chunk': {
    file: 'cache-service/pipeline/worker/chunk-applier.ts',
    replace: "if (before.kind !== 'in_step') return before",
    by: '',
  },
  'the guard is not asked after a chunk': {
    file: 'cache-service/pipeline/worker/chunk-applier.ts',
    replace: "if (after.kind !== 'in_step') return after",
    by: '',
  },
  'progress is advanced whatever Redis holds': {
    file: 'cache-service/pipeline/worker/progress-guard.ts',
    replace: 'const { next: storedProgress } = instead',
    by: "await this.#store.overwrite(partition, instead.next, next); if (next > 0) return await this.#take(partition, guarded, { kind: 'advanced', next }); const { next: storedProgress } = instead",
  },
  'progress is not compared while no chunk comes': {
    file: 'cache-service/pipeline/worker/progress-guard.ts',
    replace: 'if (suspects.length === 0) return',
    by: 'return',
  },
  'the dead letters of a chunk are not awaited': {
    file: 'cache-service/pipeline/worker/chunk-applier.ts',
    replace: 'await sendDeadLetters(chunk, settled.rejections)',
    by: 'sendDeadLetters(chunk, settled.rejections).catch(() => undefined)',
  },
  'a script is not loaded again': {
    file: 'cache-service/redis/script.ts',
    replace: "if (redisError(error).code !== 'NOSCRIPT') throw error\n      return await attempt",
    by: 'throw error\n      return await attempt',
  },
  'an equal event time wins, whatever its content': {
    file: 'test/simulation/servers/simulated-redis.ts',
    replace: 'if (order < 0) status = 0',
    by: 'if (time > lastUpdated) status = 0',
  },
  'fields are merged instead of replaced': {
    file: 'test/simulation/servers/simulated-redis.ts',
    replace: 'const written = new Map<string, string>()',
    by: 'const written = new Map<string, string>(stored)',
  },
  'the position moves by the records of a fetch, not by what it covered': {
    file: 'cache-service/kafka/fetched-partition.ts',
    replace: 'Math.min(limit, batches.at(-1)?.nextOffset ?? 0)',
    by: '(batches.at(-1)?.baseOffset ?? 0) + (batches.at(-1)?.recordCount ?? 0)',
  },
  'aborted records are applied': {
    file: 'cache-service/kafka/fetched-partition.ts',
    replace: 'return !(batch.isTransactional && aborted.has(batch.producerId))',
    by: 'return true',
  },
  'a tombstone deletes nothing': {
    file: 'test/simulation/servers/simulated-redis.ts',
    replace: 'return this.#del(key) === 1 ? 2 : 1',
    by: 'return 1',
  },
  'the index does not follow the hashes': {
    file: 'test/simulation/servers/simulated-redis.ts',
    replace: 'this.#sadd(index, newIds)',
    by: '',
  },
  'a rejoin that failed leaves the worker outside of the group': {
    file: 'cache-service/kafka/worker-consumer.ts',
    replace: 'if (!isJoined(this.#status)) this',
    by: "if (this.#status.kind === 'stopped') this",
  },
  'a new generation keeps the old lanes': {
    file: 'cache-service/pipeline/worker/lanes.ts',
    replace: 'this.#end()\n    this.#committed.clear()',
    by: 'if (partitions.length > 0 && this.#lanes.size > 0) return\n    this.#committed.clear()',
  },
}

/** Of what is different with a Redis Cluster. */
export const CLUSTER_MUTATIONS: Readonly<Record<string, SourceEdit>> = {
  'one master of a Cluster carries the progress': {
    file: 'cache-service/redis/workers/copy-holders.ts',
    replace: 'holders.set(owners, found)',
    by: 'found.splice(1); holders.set(owners, found)',
  },
  'a master without a copy of the progress is believed': {
    file: 'cache-service/core/workers/progress-copies.ts',
    replace: 'nexts.length < found.length',
    by: 'nexts.length === 0',
  },
  'the furthest copy counts, not the lowest': {
    file: 'cache-service/core/workers/progress-copies.ts',
    replace: 'undefined : Math.min(...nexts)',
    by: 'undefined : Math.max(...nexts)',
  },
  'a copy that came along with a slot counts for its new master': {
    file: 'cache-service/core/workers/progress-copies.ts',
    replace: 'if (known === undefined) return',
    by: 'return',
  },
  'an import of slots that was followed by a failover is believed': {
    file: 'cache-service/core/workers/progress-copies.ts',
    replace: '{ next, isWhole: isClaimed(copy, holder, view) }',
    by: '{ next, isWhole: true }',
  },
  'a master that has given all its slots away is forgotten': {
    file: 'cache-service/core/workers/progress-copies.ts',
    replace: ', ...evidenceOfFormer(view)]',
    by: ']',
  },
  'a device that a master does not own counts as written': {
    file: 'cache-service/redis/devices/device-writer.ts',
    replace: 'if (isElsewhere(status)) return ELSEWHERE',
    by: 'if (isElsewhere(status)) return names[0] as Name',
  },
  'a stale record does not restore what the index has lost': {
    file: 'cache-service/redis/devices/device-writer.ts',
    replace: "['stale', 'unchanged', 'changed']",
    by: "['unchanged', 'changed']",
  },
}

/** Faults that are put into the code on purpose, to show that the simulation finds them. */
export const MUTATIONS = { ...ON_ANY_REDIS, ...CLUSTER_MUTATIONS }

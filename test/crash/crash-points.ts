import type { SourceEdit } from '../support/source-edits.ts'

/**
 * What a run does to make the worker reach the point:
 * - `load`: nothing but records to read;
 * - `loss`: empties Redis while the worker is at work;
 * - `rebuild`: empties Redis after everything has been applied, before the worker starts;
 * - `sigterm`: stops the worker under load;
 * - `rebalance`: starts another worker under load;
 * - `ghost`: puts an id without a hash into the device index.
 */
export type Trigger = 'load' | 'loss' | 'rebuild' | 'sigterm' | 'rebalance' | 'ghost'

export type CrashPoint = {
  readonly trigger: Trigger
  /** The point is reached once in the life of a worker, or once per trigger. */
  readonly once?: true
  readonly edit: SourceEdit
}

// Inserted into the source of a worker that arm.ts has armed. Nothing of this is in the service itself.
const CRASH = 'globalThis.crashPoint.reached();'

function before(file: string, line: string, condition = ''): SourceEdit {
  return { file: `cache-service/${file}`, replace: line, by: `${condition}${CRASH} ${line}` }
}

function after(file: string, line: string, condition = ''): SourceEdit {
  return { file: `cache-service/${file}`, replace: line, by: `${line}; ${condition}${CRASH}` }
}

const APPLIER = 'pipeline/worker/chunk-applier.ts'
const LANE = 'pipeline/worker/lane.ts'
const HAS_DEAD_LETTERS = 'if (settled.rejections.length > 0) '
const SEND = 'await sendDeadLetters(chunk, settled.rejections)'
const WRITE_UPDATES = 'const { hasAdvanced, statuses } = await updateDevices(plan, step)'
const CALL_UPDATES =
  'const replies = (await callEach(applyUpdates, target, calls, [trustedUpTo], advance)) as UpdateReply[]'
const AFTER_CHUNK = 'const after = await guard.afterChunk(chunk, outcome.hasAdvanced, isUnbroken)'
const STOP = 'Promise.all([started, intake.stop()])'
const DRAIN = `${STOP}.then(() => committer.commit())`

/** The points at which a worker can be made to kill itself, in the order of the path of a record. */
export const CRASH_POINTS: Readonly<Record<string, CrashPoint>> = {
  'before the first comparison': {
    trigger: 'load',
    once: true,
    edit: after('kafka/worker-consumer.ts', 'intake.assigned(this.#partitions)'),
  },
  fetched: {
    trigger: 'load',
    edit: after('kafka/fetch-handler.ts', 'if (!intake.offer(fetched)) return'),
  },
  planned: {
    trigger: 'load',
    edit: after(LANE, 'const prepared = this.#dependencies.steps.prepare(decoded.chunk)'),
  },
  'tombstones applied, but not the updates': {
    trigger: 'load',
    edit: before(
      'redis/devices/device-writer.ts',
      WRITE_UPDATES,
      'if (plan.deletes.length > 0 && plan.updates.length > 0) ',
    ),
  },
  'partly applied': {
    trigger: 'load',
    edit: before(
      'redis/devices/device-writer.ts',
      CALL_UPDATES,
      'if (calls.length > 1 && globalThis.crashPoint.isNext()) await callEach(applyUpdates, target, calls.slice(0, calls.length / 2), [trustedUpTo]); if (calls.length > 1) ',
    ),
  },
  'applied, dead letter not sent': { trigger: 'load', edit: before(APPLIER, SEND, HAS_DEAD_LETTERS) },
  'dead letter sent, not committed': { trigger: 'load', edit: after(APPLIER, SEND, HAS_DEAD_LETTERS) },
  'applied, progress not advanced': {
    trigger: 'load',
    edit: before(APPLIER, AFTER_CHUNK, 'if (!outcome.hasAdvanced) '),
  },
  'applied, not committed': { trigger: 'load', edit: after(LANE, 'this.#durable = chunk.next') },
  'before a commit': {
    trigger: 'load',
    edit: after('kafka/committer.ts', 'if (offsets.size === 0 || ended.aborted) return'),
  },
  committed: { trigger: 'load', edit: before('kafka/committer.ts', 'intake.committed(offsets)') },
  'loss found, not marked': {
    trigger: 'loss',
    once: true,
    edit: before(
      'pipeline/worker/progress-guard.ts',
      'for (const effect of effects) await this.#perform(partition, effect)',
      "if (input.kind === 'lost') ",
    ),
  },
  'loss marked, not rewound': {
    trigger: 'loss',
    once: true,
    edit: before(
      'pipeline/worker/progress-guard.ts',
      'guarded.cursor = cursor',
      "if (input.kind === 'lost') ",
    ),
  },
  rewinding: {
    trigger: 'loss',
    once: true,
    edit: after(LANE, 'this.#dependencies.seek(this.partition, to)'),
  },
  rebuilding: {
    trigger: 'rebuild',
    edit: after(APPLIER, "if (after.kind !== 'in_step') return after", 'if (guard.isRebuilding) '),
  },
  'rebuilt, but still marked': {
    trigger: 'rebuild',
    once: true,
    edit: before(
      'pipeline/worker/progress-guard.ts',
      'return await this.#store.markRebuild(partition, undefined)',
    ),
  },
  'at SIGTERM, before the chunk is finished': {
    trigger: 'sigterm',
    once: true,
    edit: {
      file: 'cache-service/kafka/worker-consumer.ts',
      replace: DRAIN,
      by: `(${CRASH.slice(0, -1)}, ${DRAIN})`,
    },
  },
  'drained, not committed': {
    trigger: 'sigterm',
    once: true,
    edit: {
      file: 'cache-service/kafka/worker-consumer.ts',
      replace: DRAIN,
      by: `${STOP}.then(() => { ${CRASH} return committer.commit() })`,
    },
  },
  'drained and committed, still in the group': {
    trigger: 'sigterm',
    once: true,
    edit: {
      file: 'cache-service/kafka/worker-consumer.ts',
      replace: DRAIN,
      by: `${DRAIN}.then(() => { ${CRASH} })`,
    },
  },
  'rebalancing, before the release': {
    trigger: 'rebalance',
    once: true,
    edit: before('kafka/worker-consumer.ts', 'void committer.commit()'),
  },
  'rebalancing, before the commit of a handler': {
    trigger: 'rebalance',
    once: true,
    edit: before('kafka/fetch-handler.ts', 'await commit()\n      throw error'),
  },
  'sweeping, before the delete': {
    trigger: 'ghost',
    edit: before('redis/devices/sweeper.ts', 'removed += await index.removeAbsent(page.deviceIds)'),
  },
}

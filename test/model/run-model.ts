import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { withWorkerScenario } from '../support/processes/scenario-run.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { COMMANDS, type Model } from './commands.ts'
import { RealSystem } from './real-system.ts'
import { startRedisPair } from './redis-pair.ts'

const MOST_COMMANDS = 16
const SEQUENCES_PER_SEED = 50

/** Small steps, so that faults come between them. */
const SETTINGS = {
  CHUNK_MAX_RECORDS: '50',
  KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '20000',
  REDIS_SCRIPT_MAX_KEYS: '7',
  DEVICES_SWEEP_INTERVAL_S: '1',
}

export type ModelRunOptions = {
  readonly minutes: number
  /** How long to look for a smaller sequence that fails, too. A sequence that fails can take minutes. */
  readonly shrinkMinutes: number
  /** What a failure has printed, to repeat it. */
  readonly seed?: number
  readonly path?: string
  readonly replayPath?: string
  readonly note?: (text: string) => void
}

/**
 * Runs random sequences of commands for this long. After each sequence all faults end, and Redis must hold what the oracle
 * says. Rejects with the smallest sequence that was found to fail, and what repeats it.
 * @returns the number of sequences.
 */
export async function runModel({
  minutes,
  shrinkMinutes,
  note = () => undefined,
  ...repeat
}: ModelRunOptions): Promise<number> {
  const kafka = await startOwnKafka()
  let sequences = 0
  // fast-check's own limit would leave the sequence behind that is running.
  let endsAtMs = performance.now() + minutes * 60_000
  try {
    const property = fc.asyncProperty(
      fc.commands(COMMANDS, {
        size: 'max',
        maxCommands: MOST_COMMANDS,
        ...(repeat.replayPath !== undefined && { replayPath: repeat.replayPath }),
      }),
      async (commands) => {
        if (performance.now() > endsAtMs) return
        await runSequence(kafka.brokers, commands)
        sequences += 1
        note(`${sequences}: ${String(commands)}`)
      },
    )
    for (
      let seed = repeat.seed ?? Math.floor(Math.random() * 2 ** 31);
      performance.now() < endsAtMs;
      seed++
    ) {
      note(`seed ${seed}`)
      const options = { seed, unbiased: true, numRuns: SEQUENCES_PER_SEED }
      const path = repeat.path === undefined ? {} : { path: repeat.path }
      const first = await fc.check(property, { ...options, ...path, endOnFailure: true })
      if (!first.failed) continue
      if (shrinkMinutes === 0) throw new Error(messageOf(first))
      note(`it failed, and is being shrunk: ${messageOf(first)}`)
      endsAtMs = performance.now() + shrinkMinutes * 60_000
      const failedAt = first.counterexamplePath === null ? {} : { path: first.counterexamplePath }
      const shrunk = await fc.check(property, { ...options, ...failedAt })
      // A failure that does not come again is reported as it was.
      throw new Error(messageOf(shrunk.failed ? shrunk : first))
    }
    return sequences
  } finally {
    await kafka.stop()
  }
}

async function runSequence(
  brokers: readonly string[],
  commands: Iterable<fc.AsyncCommand<Model, RealSystem>>,
): Promise<void> {
  const redis = await startRedisPair()
  const reads = new Redis(redis.server.url, { retryStrategy: () => 100 })
  reads.on('error', () => undefined)
  try {
    const options = { kafka: { brokers }, ownRedis: redis.server, env: SETTINGS }
    await withWorkerScenario(options, async (scenario) => {
      const real = await RealSystem.open(scenario, redis, reads)
      try {
        await real.addWorker()
        const model: Model = { workers: 1, frozen: 0, hasDeadLetters: false }
        await fc.asyncModelRun(() => ({ model, real }), commands)
        await real.comeToRest()
      } finally {
        real.thawWorkers()
        await real.stopReading()
      }
    })
  } finally {
    reads.disconnect()
    await redis.stop()
  }
}

/** With the error, which fast-check leaves out. */
function messageOf<Values>(details: fc.RunDetails<Values>): string {
  const { errorInstance: error } = details
  return `${fc.defaultReportMessage(details) ?? ''}\n\n${error instanceof Error ? error.message : String(error)}`
}

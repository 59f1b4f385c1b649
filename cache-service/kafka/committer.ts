import type { Consumer } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import type { WorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import type { FetchIntake } from './fetch-handler.ts'

export type CommitterDependencies = {
  readonly consumer: Consumer
  readonly topic: string
  readonly intake: Pick<FetchIntake, 'uncommitted' | 'committed'>
  readonly telemetry: Pick<WorkerTelemetry, 'commitFailed'>
  /** Aborts when the consumer has ended: what is durable then is for its successor to commit. */
  readonly ended: AbortSignal
}

/** Commits what is durable, by one KafkaJS consumer. */
export type Committer = {
  /** One commit at a time. Never rejects: what was not committed is committed by the next one. */
  commit(): Promise<void>
  readonly hasCommitted: boolean
}

export function createCommitter(dependencies: CommitterDependencies): Committer {
  const { consumer, ended, intake, telemetry, topic } = dependencies
  let hasCommitted = false
  let last: Promise<void> = Promise.resolve()

  async function commitOnce(): Promise<void> {
    const offsets = intake.uncommitted()
    if (offsets.size === 0 || ended.aborted) return
    try {
      await consumer.commitOffsets(
        [...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })),
      )
      intake.committed(offsets)
      hasCommitted = true
    } catch (error) {
      telemetry.commitFailed(kafkaError(error, topic))
    }
  }

  return {
    commit: () => (last = last.then(commitOnce)),
    get hasCommitted() {
      return hasCommitted
    },
  }
}

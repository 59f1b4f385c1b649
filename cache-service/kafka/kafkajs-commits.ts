import type { Replacement } from './kafkajs-copy.ts'

type OffsetManager = {
  readonly groupId: string
  readonly cluster: { findGroupCoordinator(group: { groupId: string }): Promise<unknown> }
  coordinator: unknown
  commitOffsets(offsets?: unknown): Promise<void>
}

/**
 * KafkaJS commits to the broker that was the coordinator when the consumer joined. If the coordinator moves while that broker runs, and
 * the attempt to join again fails because the new one is still loading, heartbeats go to the new one, which accepts them, and
 * every commit is refused until the next rebalance. Here the next commit goes to the current coordinator.
 */
export const withCurrentCoordinator: Replacement = (original) => {
  const Original = original as new (...args: never[]) => OffsetManager
  return class extends Original {
    override async commitOffsets(offsets?: unknown): Promise<void> {
      try {
        await super.commitOffsets(offsets)
      } catch (error) {
        if (error instanceof Error && 'type' in error && error.type === 'NOT_COORDINATOR_FOR_GROUP')
          this.coordinator = await this.cluster.findGroupCoordinator({ groupId: this.groupId })
        throw error
      }
    }
  }
}

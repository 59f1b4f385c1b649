import { expect, test } from 'vitest'
import { withCurrentCoordinator } from '../../../cache-service/kafka/kafkajs-commits.ts'

// Why it is needed, on real brokers: test/faults/rolling-restart.test.ts, "all leaders and the coordinator move".

test('a commit that a former coordinator refuses is rejected, and the next one goes to the current coordinator', async () => {
  const committedAt: unknown[] = []
  class Original {
    readonly groupId = 'a-group'
    readonly cluster = { findGroupCoordinator: async () => 'current' }
    coordinator = 'former'
    async commitOffsets(): Promise<void> {
      if (this.coordinator === 'former')
        throw Object.assign(new Error('not the coordinator'), { type: 'NOT_COORDINATOR_FOR_GROUP' })
      committedAt.push(this.coordinator)
    }
  }
  const Corrected = withCurrentCoordinator(Original, () => undefined) as typeof Original
  const offsets = new Corrected()
  await expect(offsets.commitOffsets()).rejects.toThrow('not the coordinator')
  await offsets.commitOffsets()
  expect(committedAt).toEqual(['current'])
})

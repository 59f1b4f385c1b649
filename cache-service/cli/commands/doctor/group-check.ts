import { kafkaError, type ServiceError } from '../../../../shared/errors.ts'
import { kafkaFinding, type Finding } from '../../../core/doctor.ts'
import { describeMembers, foreignMembers, type ConsumerGroup } from '../../../core/workers/consumer-group.ts'
import { recordsBehind } from '../../../core/workers/records-behind.ts'
import type { GroupReader } from '../../../kafka/group-reader.ts'
import type { GroupPositions, PartitionOffsets } from '../../../kafka/partition-offsets.ts'

export type GroupCheckDependencies = {
  readonly topic: string
  readonly groupId: string
  readonly group: GroupReader
  readonly offsets: PartitionOffsets
  /** What to do about a refused request. */
  readonly fixFor: (refusal: ServiceError) => string
}

/** Checks that the group may be used, and who uses it. */
export async function checkGroup(dependencies: GroupCheckDependencies): Promise<Finding[]> {
  const { fixFor, groupId, offsets, topic } = dependencies
  const check = `group ${groupId}`
  try {
    const group = await dependencies.group.read()
    const positions = await offsets.read().catch((error: unknown) => unlessTopicMissing(kafkaError(error)))
    return [judgeMembers(check, group, topic), ...judgeOwners(check, group, positions, topic)]
  } catch (error) {
    const refusal = kafkaError(error)
    return [kafkaFinding('failed', check, refusal.message, fixFor(refusal))]
  }
}

/** Another check reports that. */
function unlessTopicMissing(failure: ServiceError): GroupPositions {
  if (failure.code === 'TOPIC_MISSING') return new Map()
  throw failure
}

function judgeMembers(check: string, group: ConsumerGroup, topic: string): Finding {
  const { isSettled, members, state } = group
  const detail = members.length === 0 ? 'no members' : `${state}, members: ${members.length}`
  const foreign = foreignMembers(group, topic)
  if (foreign.length > 0) {
    return kafkaFinding(
      'failed',
      check,
      `${detail}; it is shared with members that are not workers of ${topic}: ${describeMembers(foreign)}`,
      'Set a KAFKA_CONSUMER_GROUP_ID that only the workers of this topic use.',
    )
  }
  const unidentified = members.filter(({ kind }) => kind === 'unidentified')
  if (!isSettled || unidentified.length === 0) return kafkaFinding('ok', check, detail)
  const named = [...new Set(unidentified.map(({ clientId, host }) => `${clientId} at ${host}`))].slice(0, 5)
  return kafkaFinding(
    'warning',
    check,
    `${detail}; these may be workers of another release, or another program: ${named.join('; ')}`,
    'If it is another program, set another KAFKA_CONSUMER_GROUP_ID.',
  )
}

function judgeOwners(
  check: string,
  group: ConsumerGroup,
  positions: GroupPositions,
  topic: string,
): Finding[] {
  if (!group.isSettled || group.members.length === 0) return []
  const owned = new Set(group.members.flatMap(({ partitions }) => partitions.get(topic) ?? []))
  const unread = [...positions].filter(
    ([partition, position]) => position !== undefined && !owned.has(partition) && recordsBehind(position) > 0,
  )
  if (unread.length === 0) return []
  const numbers = unread.map(([partition]) => partition).toSorted((a, b) => a - b)
  return [
    kafkaFinding(
      'warning',
      `owners in ${check}`,
      `partition ${numbers.join(', ')} has unread records and no owner`,
      'Run the check again. If that persists, read /readyz and the logs of the workers.',
    ),
  ]
}

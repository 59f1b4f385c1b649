import { kafkaError, type ServiceError } from '../../../../shared/errors.ts'
import { kafkaFinding, type Finding } from '../../../core/doctor.ts'
import { recordsBehind } from '../../../core/workers/records-behind.ts'
import type { GroupLagReader, GroupTopic } from '../../../kafka/group-lag-reader.ts'

export type LagGroupCheckDependencies = {
  readonly reader: Pick<GroupLagReader, 'read'>
  /** What to do about a refused request. @param resource as the rules of ACLs name it. */
  readonly fixFor: (refusal: ServiceError, operation: string, resource: string) => string
}

/** Checks that the lag monitor can measure the lag of a group. */
export async function checkLagGroup(
  { fixFor, reader }: LagGroupCheckDependencies,
  groupId: string,
): Promise<Finding[]> {
  const check = `lag of group ${groupId}`
  try {
    const { group, topics } = await reader.read(groupId, [])
    const refused = [...topics].flatMap(([topic, found]) =>
      found.kind === 'refused'
        ? [
            kafkaFinding(
              'warning',
              `${check} on ${topic}`,
              found.error.message,
              fixFor(found.error, 'Read', `--topic ${topic}`),
            ),
          ]
        : [],
    )
    if (topics.size === 0 && group.members.length === 0) {
      return [
        kafkaFinding(
          'warning',
          check,
          'the group has neither members nor committed offsets',
          'Check its name in LAG_GROUPS. Otherwise wait until the group has read something.',
        ),
      ]
    }
    const records = [...topics.values()].reduce((sum, topic) => sum + recordsOf(topic), 0)
    const detail = `${group.state}, members: ${group.members.length}, topics: ${topics.size}, records behind: ${records}`
    return [kafkaFinding('ok', check, detail), ...refused]
  } catch (error) {
    const refusal = kafkaError(error)
    return [kafkaFinding('failed', check, refusal.message, fixFor(refusal, 'Describe', `--group ${groupId}`))]
  }
}

function recordsOf(topic: GroupTopic): number {
  if (topic.kind === 'refused') return 0
  return [...topic.positions.values()].reduce(
    (sum, position) => sum + (position === undefined ? 0 : recordsBehind(position)),
    0,
  )
}

import { formatDuration, kafkaFinding, type Finding } from './doctor.ts'
import { eventTimeFromMs } from './event-time.ts'
import { judgeRecordTime } from './records/suspicious-times.ts'

const DAY_MS = 86_400_000

/**
 * Checks whether a worker would write the newest records of the topic.
 *
 * @param newestMs the record time of the newest record of each partition that has one; ≤ 0: the producer set none.
 * @param ttlMs the time to live of a device; 0: unlimited.
 */
export function judgeRecordTimes(
  topic: string,
  newestMs: readonly number[],
  nowMs: number,
  ttlMs: number,
): Finding {
  const check = `record times of ${topic}`
  const times = newestMs.filter((ms) => ms > 0)
  if (newestMs.length === 0) return kafkaFinding('skipped', check, 'no record was found')
  if (times.length === 0)
    return kafkaFinding('ok', check, 'the newest records have none: they are read as the current time')
  const kinds = new Set(times.map((ms) => judgeRecordTime(ms, nowMs)))
  const newest = Math.max(...times)
  const described = `the newest record is from ${textOf(newest)}`
  const consequence =
    ttlMs > 0 ? 'workers count such records as expired and write none of them' : 'they are wrong'
  if (kinds.has('record_time_in_seconds'))
    return kafkaFinding(
      'failed',
      check,
      `they are in seconds, but Kafka counts milliseconds (${textOf(Math.min(...times))}): ${consequence}`,
      'Correct the timestamps of the producer, or set message.timestamp.type=LogAppendTime for the topic.',
    )
  if (kinds.has('record_time_before_2000'))
    return kafkaFinding(
      'failed',
      check,
      `some are before 2000 (${textOf(Math.min(...times))}): ${consequence}`,
      'Correct the clock of the producer, or set message.timestamp.type=LogAppendTime for the topic.',
    )
  if (newest > nowMs + DAY_MS)
    return kafkaFinding(
      'warning',
      check,
      `${described}, in the future: workers read such times as the current time`,
      'Correct the timestamps of the producer (Kafka counts milliseconds) or its clock.',
    )
  if (ttlMs > 0 && newest + ttlMs <= nowMs)
    return kafkaFinding(
      'warning',
      check,
      `${described}, more than REDIS_METADATA_TTL (${formatDuration(ttlMs)}) ago: workers write none of the records`,
      'Check that the producer is running. To keep older devices, raise REDIS_METADATA_TTL.',
    )
  return kafkaFinding('ok', check, described)
}

function textOf(ms: number): string {
  return ms < 8_640_000_000_000_000 ? eventTimeFromMs(ms).text.slice(0, 19) : `${ms} ms`
}

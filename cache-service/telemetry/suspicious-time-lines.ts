import {
  addRange,
  rangesOf,
  type CollectedTimes,
  type SuspiciousTime,
  type SuspiciousTimes,
} from '../core/records/suspicious-times.ts'
import { eventTimeFromMs } from '../core/event-time.ts'
import type { Logger } from './logger.ts'

const NOT_WRITTEN = 'these records count as expired and are not written (unless REDIS_METADATA_TTL is 0)'

const MESSAGES: Readonly<Record<SuspiciousTime, string>> = {
  record_time_in_seconds: `record times are in seconds, but Kafka counts milliseconds: ${NOT_WRITTEN}; correct the producer, or set message.timestamp.type=LogAppendTime for the topic`,
  record_time_before_2000: `record times are before 2000: ${NOT_WRITTEN}; correct the clock of the producer`,
  expired:
    'records were not written, because they are older than REDIS_METADATA_TTL: a backlog, or a topic that is read from its beginning',
  event_time_late:
    'event times are long before their record times: these records change nothing, and keep older metadata from expiring; check the clocks of the devices',
  event_time_early:
    'event times are more than MAX_FUTURE_SKEW_S after their record times, which replace them; check the clocks of the devices and of the producer',
}

/** One line for each kind of suspicious time in each summary interval, with the number of records and their range. */
export function createSuspiciousTimeLines(log: Logger) {
  let times: CollectedTimes = {}
  return {
    add(more: SuspiciousTimes): void {
      for (const [kind, range] of rangesOf(more)) addRange(times, kind, range)
    },
    flush(): void {
      for (const [kind, { newestMs, oldestMs, records }] of rangesOf(times)) {
        const range = { oldest: eventTimeFromMs(oldestMs).text, newest: eventTimeFromMs(newestMs).text }
        log.warn({ kind, records, ...range }, MESSAGES[kind])
      }
      times = {}
    },
  }
}

import type { Logger } from './logger.ts'
import { createRateLimit } from './rate-limit.ts'

type Fields = Readonly<Record<string, unknown>>

const LINES_PER_SECOND = 1

/**
 * Lines about partitions, of which an outage affects hundreds at once: the first is logged immediately with its fields, and
 * the others together, as a list of partitions, by the next `flush`.
 */
export function createPartitionLines(log: Logger, monotonicNow: () => number) {
  const flushes: (() => void)[] = []
  return {
    /** @returns a function that logs the message for a partition. */
    kind(level: 'info' | 'warn', message: string) {
      const limit = createRateLimit(LINES_PER_SECOND, monotonicNow)
      let others = new Set<number>()
      flushes.push(() => {
        if (others.size === 0) return
        log[level]({ partitions: [...others].toSorted((a, b) => a - b) }, message)
        others = new Set()
      })
      return (partition: number, fields: Fields) => {
        if (limit.pass() === undefined) others.add(partition)
        else log[level]({ partition, ...fields }, message)
      }
    },
    flush(): void {
      for (const flush of flushes) flush()
    },
  }
}

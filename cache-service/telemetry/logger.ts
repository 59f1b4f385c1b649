import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import type { LogLevel } from '../config/config.ts'

export type { Logger } from 'pino'

/**
 * JSON lines. Levels by consequence: debug = one line a batch; info = changes of state and a summary every
 * 10 s; warn = recovered, or one record lost to a dead letter; error = an operator is needed.
 */
export function createLogger(level: LogLevel, destination: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { service: 'cache_service' },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import type { LogLevel } from '../config/config.ts'

export type { Logger } from 'pino'

/**
 * Logs JSON lines. Levels by consequence: debug = one line per batch; info = state changes and a summary every
 * 10 s; warn = a recovered failure, or a record that became a dead letter; error = an operator is needed.
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

import { createLogger, type Logger } from '../../cache-service/telemetry/logger.ts'

export type CollectedLine = Readonly<Record<string, unknown>>

/** The service's logger, with lines that a test can read. */
export type CollectedLog = {
  readonly log: Logger
  lines(): CollectedLine[]
  /** The lines since the previous call. */
  take(): CollectedLine[]
}

export function createCollectedLog(level: 'debug' | 'info' = 'debug'): CollectedLog {
  let texts: string[] = []
  const log = createLogger(level, { write: (text) => void texts.push(text) })
  const lines = () => texts.map((text): CollectedLine => JSON.parse(text))
  return {
    log,
    lines,
    take() {
      const taken = lines()
      texts = []
      return taken
    },
  }
}

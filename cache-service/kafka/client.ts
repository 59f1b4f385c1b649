import type { Kafka, KafkaConfig as KafkaJsConfig, LogEntry, RetryOptions } from 'kafkajs'
import type { KafkaConfig } from '../config/config.ts'
import type { Logger } from '../telemetry/logger.ts'
import { kafkajs } from './kafkajs.ts'

/**
 * Every client gets all of these settings explicitly: KafkaJS's defaults differ between clients (and under
 * NODE_ENV=test). KafkaJS retries only briefly; each caller then retries by its own rules.
 */
export const RETRY: RetryOptions = {
  retries: 4,
  initialRetryTime: 100,
  maxRetryTime: 3_000,
  factor: 0.2,
  multiplier: 2,
}

/** How soon a consumer sees that partitions were added. One small request each time. */
export const METADATA_MAX_AGE_MS = 5_000
/** Also how long a bootstrap broker may stay silent before the next one is tried. */
const CONNECTION_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 30_000

/** How long it may take to reach the only bootstrap address that answers. @param addresses the number of all. */
export function longestConnectMs(addresses: number): number {
  return (addresses + 1) * CONNECTION_TIMEOUT_MS
}

export function createKafka(config: KafkaConfig, log: Logger): Kafka {
  return new kafkajs.Kafka({
    clientId: config.clientId,
    brokers: [...config.brokers],
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: RETRY,
    ...tlsOptions(config),
    ...saslOptions(config),
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => relayLogEntry(log, entry),
  })
}

function tlsOptions({ tls }: KafkaConfig): Pick<KafkaJsConfig, 'ssl'> {
  if (tls === undefined) return {}
  const { rejectUnauthorized, ca, cert, key } = tls
  return {
    ssl: {
      rejectUnauthorized,
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    },
  }
}

function saslOptions({ sasl }: KafkaConfig): Pick<KafkaJsConfig, 'sasl'> {
  if (sasl === undefined) return {}
  const { username, password } = sasl
  switch (sasl.mechanism) {
    case 'plain':
      return { sasl: { mechanism: 'plain', username, password } }
    case 'scram-sha-256':
      return { sasl: { mechanism: 'scram-sha-256', username, password } }
    case 'scram-sha-512':
      return { sasl: { mechanism: 'scram-sha-512', username, password } }
  }
}

/**
 * KafkaJS logs an expected rebalance as an ERROR, and repeats what our own telemetry reports better. So its errors
 * are logged at debug level, and everything else at trace level.
 */
function relayLogEntry(log: Logger, { level, namespace, log: entry }: LogEntry): void {
  const { message, timestamp: _ours, logger: _kafkajs, stack: _stack, ...fields } = entry
  const line = { kafkajs: namespace, ...fields }
  if (level <= kafkajs.logLevel.ERROR && !EXPECTED.test(`${message} ${String(fields['error'] ?? '')}`)) {
    log.debug(line, message)
  } else {
    log.trace(line, message)
  }
}

const EXPECTED = /rebalanc|coordinator is not aware of this member/i

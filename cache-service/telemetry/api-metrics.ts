import { Counter, Gauge, Histogram } from 'prom-client'
import { SSE_DROP_REASONS } from '../core/events/event-frames.ts'
import type { ProcessMetrics } from './process-metrics.ts'

/** `invalid`: the id cannot be a device id. */
export const LOOKUP_LABELS = ['found', 'missing', 'corrupt', 'unavailable', 'invalid'] as const
export type LookupLabel = (typeof LOOKUP_LABELS)[number]

/** Why the API closed a connection whose client was too slow, or one too many (http/hooks/connections.ts). */
export const CONNECTION_CLOSE_REASONS = [
  'too_many',
  'incomplete_bodies',
  'unread_responses',
  'stalled',
] as const
export type ConnectionCloseReason = (typeof CONNECTION_CLOSE_REASONS)[number]

export const SCAN_RESULTS = ['complete', 'truncated', 'cancelled', 'failed'] as const
export type ScanResult = (typeof SCAN_RESULTS)[number]

const SCAN_DURATIONS_S = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60]
const DURATIONS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Labels name routes by their patterns: never a device id, a key or a token. */
export function createApiMetrics({ registry }: ProcessMetrics) {
  const registers = [registry]
  const requests = new Counter({
    name: 'cache_service_http_requests_total',
    help: 'HTTP requests answered, by method, route pattern and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const requestDuration = new Histogram({
    name: 'cache_service_http_request_duration_seconds',
    help: 'Time to answer an HTTP request, without event streams.',
    labelNames: ['method', 'route'],
    buckets: DURATIONS_S,
    registers,
  })
  const connectionsClosed = new Counter({
    name: 'cache_service_http_connections_closed_total',
    help: 'Connections that the API closed because a limit was reached or the client stopped reading, by reason.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of CONNECTION_CLOSE_REASONS) connectionsClosed.inc({ reason }, 0)
  const lookups = new Counter({
    name: 'cache_service_cache_lookups_total',
    help: 'Device lookups by result.',
    labelNames: ['result'],
    registers,
  })
  for (const result of LOOKUP_LABELS) lookups.inc({ result }, 0)
  const cachedLookups = new Counter({
    name: 'cache_service_lookup_cache_reads_total',
    help: 'Devices looked up while the API may keep them in memory: found there (hit), or read from Redis (miss).',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['hit', 'miss']) cachedLookups.inc({ result }, 0)
  const trackingReads = new Gauge({
    name: 'cache_service_lookup_cache_active',
    help: '1 while Redis reports changed devices, so that the API may keep them in memory; 0: it reads all from Redis.',
    registers,
  })
  const tokensFileValid = new Gauge({
    name: 'cache_service_tokens_file_valid',
    help: '1 if the tokens in use are those of API_TOKENS_FILE, 0 if it is unusable or empty. Absent without API_AUTH=token.',
    registers,
  })
  tokensFileValid.remove() // prom-client starts it at 0, which would claim that the file is unusable
  const scans = new Counter({
    name: 'cache_service_device_scans_total',
    help: 'Scans of all devices for searches, by result. Cancelled: all callers had disconnected.',
    labelNames: ['result'],
    registers,
  })
  for (const result of SCAN_RESULTS) scans.inc({ result }, 0)
  const scanDuration = new Histogram({
    name: 'cache_service_device_scan_duration_seconds',
    help: 'Time to read and sort all devices for searches.',
    buckets: SCAN_DURATIONS_S,
    registers,
  })
  const sseClients = new Gauge({
    name: 'cache_service_sse_clients',
    help: 'Event streams (SSE) that are open.',
    registers,
  })
  const sseEventsSent = new Counter({
    name: 'cache_service_sse_events_sent_total',
    help: 'Events sent over SSE, counted once per client.',
    registers,
  })
  const sseDropped = new Counter({
    name: 'cache_service_sse_dropped_total',
    help: 'Event streams (SSE) that the server closed or refused, by reason.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of SSE_DROP_REASONS) sseDropped.inc({ reason }, 0)
  return {
    requests,
    requestDuration,
    connectionsClosed,
    lookups,
    cachedLookups,
    trackingReads,
    tokensFileValid,
    scans,
    scanDuration,
    sseClients,
    sseEventsSent,
    sseDropped,
  }
}

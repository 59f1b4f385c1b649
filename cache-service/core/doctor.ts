import type { ServiceError } from '../../shared/errors.ts'
import { MISTYPED_FIX, type MistypedKey } from './fixed-keys.ts'
import { CLUSTER_FIX, hintFor } from './operator-hint.ts'

/** The result of one check of the doctor. */
export type Finding = {
  readonly area: 'settings' | 'kafka' | 'redis' | 'api' | 'machine'
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'failed' | 'skipped'
  /** What was found, or why the check was skipped. */
  readonly detail: string
  /** What to do; only for a warning or a failure. */
  readonly fix?: string
  /** The server can't be reached at all. */
  readonly isUnreachable?: true
}

function findingIn(area: Finding['area']) {
  return (verdict: Finding['verdict'], check: string, detail: string, fix?: string): Finding => ({
    area,
    check,
    verdict,
    detail,
    ...(fix !== undefined && { fix }),
  })
}

export const redisFinding = findingIn('redis')
export const kafkaFinding = findingIn('kafka')

export function asUnreachable(finding: Finding): Finding {
  return finding.verdict === 'failed' ? { ...finding, isUnreachable: true } : finding
}

/** The fix for a failed login: what the error code says, or `otherwise` if the code is not one for an operator. */
export function loginFix(error: ServiceError, otherwise: string): string {
  return error.failureClass === 'operator' ? fixOf(error, otherwise) : otherwise
}

/** What the error code says, or `otherwise` if it says nothing. */
export function fixOf(error: ServiceError, otherwise: string): string {
  const fix = hintFor(error)?.fix
  return fix === undefined ? otherwise : asSentence(fix)
}

export function asSentence(fix: string): string {
  return `${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`
}

export const DOCTOR_ROLES = ['worker', 'api', 'kv-updater', 'lag-monitor', 'all'] as const
export type DoctorRole = (typeof DOCTOR_ROLES)[number]

/** What INFO, CONFIG and TIME report; undefined: denied or unknown. */
export type RedisFacts = {
  readonly version: string
  readonly isValkey: boolean
  readonly isReplica: boolean
  readonly isCluster: boolean
  readonly maxMemoryBytes: number | undefined
  readonly usedMemoryBytes: number | undefined
  readonly evictionPolicy: string | undefined
  readonly hasAppendOnlyFile: boolean
  /** The last snapshot, or the last write to the append-only file, has failed. */
  readonly hasFailedToSave: boolean
  /** The `save` setting; empty: no snapshots. */
  readonly save: string | undefined
  /** The clock of Redis minus the local clock. */
  readonly clockAheadMs: number | undefined
}

const OLDEST_MAJOR = 7
const MAX_CLOCK_DIFFERENCE_MS = 30_000

/** @param expectsCluster the settings are those of a Cluster. */
export function judgeRedis(facts: RedisFacts, role: DoctorRole, expectsCluster = false): Finding[] {
  return [
    judgeVersion(facts),
    judgeMode(facts, expectsCluster),
    judgeEviction(facts),
    judgeMemory(facts),
    ...judgeSaving(facts),
    judgePersistence(facts, role),
    judgeClock(facts),
  ]
}

function judgeVersion({ isValkey, version }: RedisFacts): Finding {
  const check = 'version'
  const major = Number.parseInt(version, 10)
  if (Number.isNaN(major)) return redisFinding('skipped', check, 'unknown: INFO does not report the version')
  const detail = `${isValkey ? 'Valkey' : 'Redis'} ${version}`
  return isValkey || major >= OLDEST_MAJOR
    ? redisFinding('ok', check, detail)
    : redisFinding('failed', check, detail, `Run Redis ${OLDEST_MAJOR} or newer, or Valkey.`)
}

function judgeMode({ isCluster, isReplica }: RedisFacts, expectsCluster: boolean): Finding {
  const check = 'mode'
  if (isCluster && !expectsCluster)
    return redisFinding('failed', check, 'a node of a Cluster', asSentence(CLUSTER_FIX))
  if (isReplica) {
    const fix = 'Point REDIS_HOST at the primary; after a failover, check which server that is now.'
    return redisFinding('failed', check, 'a replica, which rejects writes', fix)
  }
  return redisFinding('ok', check, isCluster ? 'a master of a Cluster' : 'a primary')
}

/** @param mistyped undefined: the types of the keys are unknown. */
export function judgeFixedKeys(mistyped: readonly MistypedKey[] | undefined): Finding[] {
  if (mistyped === undefined) return [redisFinding('skipped', 'keys', 'TYPE is denied')]
  if (mistyped.length === 0)
    return [redisFinding('ok', 'keys', 'all have the right type, or do not exist yet')]
  return mistyped.map((key) =>
    redisFinding(
      'failed',
      `key ${key.key}`,
      `it is a ${key.found}, but must be a ${key.type}`,
      asSentence(MISTYPED_FIX),
    ),
  )
}

function judgeEviction({ evictionPolicy, maxMemoryBytes }: RedisFacts): Finding {
  const check = 'eviction'
  if (evictionPolicy === undefined) return redisFinding('skipped', check, 'maxmemory-policy is unknown')
  if (evictionPolicy === 'noeviction') return redisFinding('ok', check, evictionPolicy)
  const isLimited = maxMemoryBytes !== undefined && maxMemoryBytes > 0
  return redisFinding(
    'warning',
    check,
    `${evictionPolicy}: ${isLimited ? '' : 'if maxmemory is set, '}Redis may evict devices before they expire`,
    'Run redis-cli CONFIG SET maxmemory-policy noeviction, and change the configuration file of Redis likewise.',
  )
}

const NEARLY_FULL = 0.9

/** The doctor writes nothing, so it cannot see that a write is refused. */
function judgeMemory({ evictionPolicy, maxMemoryBytes, usedMemoryBytes }: RedisFacts): Finding {
  const check = 'memory'
  if (maxMemoryBytes === undefined || usedMemoryBytes === undefined)
    return redisFinding('skipped', check, 'unknown: INFO does not report it')
  if (maxMemoryBytes === 0) return redisFinding('ok', check, `${usedMemoryBytes} bytes, without a limit`)
  const detail = `${usedMemoryBytes} bytes of maxmemory ${maxMemoryBytes}`
  const share = usedMemoryBytes / maxMemoryBytes
  // With any other policy Redis evicts keys instead, which is a finding of its own.
  if (share < NEARLY_FULL || evictionPolicy !== 'noeviction') return redisFinding('ok', check, detail)
  return share < 1
    ? redisFinding('warning', check, `${detail}: once it is full, Redis refuses writes`, MEMORY_FIX)
    : redisFinding('failed', check, `${detail}: Redis refuses writes`, MEMORY_FIX)
}

const MEMORY_FIX = 'Raise maxmemory of the server, or delete what else it holds.'

function judgeSaving({ hasFailedToSave }: RedisFacts): Finding[] {
  if (!hasFailedToSave) return []
  return [
    redisFinding(
      'warning',
      'saving',
      'Redis could not save its data, and may therefore refuse writes',
      'Read the log of Redis, and free its disk.',
    ),
  ]
}

function judgePersistence({ hasAppendOnlyFile, save }: RedisFacts, role: DoctorRole): Finding {
  const check = 'persistence'
  if (hasAppendOnlyFile) return redisFinding('ok', check, 'append-only file')
  if (save === undefined) return redisFinding('skipped', check, 'CONFIG GET is denied')
  if (save !== '') return redisFinding('ok', check, `snapshots (save ${save})`)
  const refilled = 'none: after a restart the workers read the topic again'
  if (role === 'worker') return redisFinding('ok', check, refilled)
  return redisFinding(
    'warning',
    check,
    `${refilled}, but the values of the kv-updater and of the cache-queue service are lost`,
    'Enable appendonly if those values must survive a restart of Redis.',
  )
}

function judgeClock({ clockAheadMs }: RedisFacts): Finding {
  const check = 'clock'
  if (clockAheadMs === undefined) return redisFinding('skipped', check, 'TIME is denied')
  const seconds = Math.round(Math.abs(clockAheadMs) / 1000)
  if (Math.abs(clockAheadMs) <= MAX_CLOCK_DIFFERENCE_MS) {
    return redisFinding('ok', check, `within ${Math.max(1, seconds)} s of the local clock`)
  }
  const direction = clockAheadMs > 0 ? 'ahead of' : 'behind'
  return redisFinding(
    'warning',
    check,
    `${seconds} s ${direction} the local clock: devices expire by the clock of Redis, but records are judged by the local clock`,
    'Synchronize both clocks (NTP).',
  )
}

/**
 * Checks whether the topic keeps its records long enough to fill the cache again.
 *
 * @param settings the settings of the topic, by name.
 * @param ttlMs the time to live of a device; 0: unlimited.
 */
export function judgeRetention(settings: ReadonlyMap<string, string>, ttlMs: number): Finding {
  const check = 'retention against REDIS_METADATA_TTL'
  const isCompacted = (settings.get('cleanup.policy') ?? '').includes('compact')
  const retentionMs = Number(settings.get('retention.ms') ?? Number.NaN)
  if (Number.isNaN(retentionMs)) return kafkaFinding('skipped', check, 'retention.ms is unknown')
  const retention = retentionMs < 0 ? 'forever' : `for ${formatDuration(retentionMs)}`
  const expiry = ttlMs === 0 ? 'never expires' : `expires after ${formatDuration(ttlMs)}`
  const detail = `the topic keeps records ${retention}, a device ${expiry}`
  const limitBytes = Number(settings.get('retention.bytes') ?? -1)
  const limit = limitBytes > 0 ? ` (and at most ${limitBytes} bytes per partition)` : ''
  if (isCompacted)
    return kafkaFinding(
      'ok',
      check,
      `the topic is compacted: it keeps the last record of each device${limit}`,
    )
  if (retentionMs < 0 || (ttlMs > 0 && retentionMs >= ttlMs)) return kafkaFinding('ok', check, detail + limit)
  return kafkaFinding(
    'warning',
    check,
    `${detail}: if Redis loses its data, older devices can't be restored`,
    `Raise retention.ms of the topic to ${ttlMs === 0 ? 'the age of the oldest device that a rebuild must restore' : `${ttlMs} or more`}, or lower REDIS_METADATA_TTL.`,
  )
}

/** A dead letter with its whole record is at most about twice as large as the record bytes that it may carry. */
const MAX_DEAD_LETTER_BYTES = 640 * 1024

export function judgeErrorTopic(settings: ReadonlyMap<string, string>): Finding {
  const check = 'max.message.bytes of the error topic'
  const bytes = Number(settings.get('max.message.bytes') ?? Number.NaN)
  if (Number.isNaN(bytes)) return kafkaFinding('skipped', check, 'it is unknown')
  if (bytes >= MAX_DEAD_LETTER_BYTES) return kafkaFinding('ok', check, `${bytes}`)
  return kafkaFinding(
    'warning',
    check,
    `${bytes}: large dead letters are written without their record, which a replay must then find in its topic`,
    `Set max.message.bytes of the error topic to ${MAX_DEAD_LETTER_BYTES} or more.`,
  )
}

/** What the brokers allow; undefined: it can't be read. */
export type SessionLimits = { readonly minMs: number; readonly maxMs: number }

export function judgeSessionTimeout(timeoutMs: number, limits: SessionLimits | undefined): Finding {
  const check = 'session timeout'
  if (limits === undefined) return kafkaFinding('skipped', check, 'the limits of the brokers are unknown')
  const { maxMs, minMs } = limits
  const detail = `${timeoutMs} ms, the brokers allow ${minMs} to ${maxMs} ms`
  if (timeoutMs >= minMs && timeoutMs <= maxMs) return kafkaFinding('ok', check, detail)
  return kafkaFinding(
    'failed',
    check,
    detail,
    `Set KAFKA_SESSION_TIMEOUT_S to ${minMs / 1000} to ${maxMs / 1000} seconds, or change group.min.session.timeout.ms or group.max.session.timeout.ms of the brokers.`,
  )
}

/** Formats a duration in the largest unit that is not larger than it, with at most one decimal. */
export function formatDuration(ms: number): string {
  const units: readonly [name: string, ms: number][] = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1_000],
  ]
  for (const [name, unit] of units) {
    if (ms < unit) continue
    const count = Math.round((ms / unit) * 10) / 10
    return `${count} ${name}${count === 1 ? '' : 's'}`
  }
  return `${ms} ms`
}

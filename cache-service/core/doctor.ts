import type { ServiceError } from '../../shared/errors.ts'
import { hintFor } from './operator-hint.ts'

/** One thing that the doctor has looked at. */
export type Finding = {
  readonly area: 'settings' | 'kafka' | 'redis' | 'machine'
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'failed' | 'skipped'
  /** What was found, or why it was not looked at. */
  readonly detail: string
  /** What to do; only of a warning or a failure. */
  readonly fix?: string
  /** A server that can't be reached at all. */
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
  const fix = error.failureClass === 'operator' ? hintFor(error)?.fix : undefined
  return fix === undefined ? otherwise : `${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`
}

export const DOCTOR_ROLES = ['worker', 'api', 'kv-updater', 'all'] as const
export type DoctorRole = (typeof DOCTOR_ROLES)[number]

/** What Redis says of itself, by INFO and CONFIG; undefined: it did not let us know. */
export type RedisFacts = {
  readonly version: string
  readonly isValkey: boolean
  readonly isReplica: boolean
  readonly isCluster: boolean
  readonly maxMemoryBytes: number | undefined
  readonly evictionPolicy: string | undefined
  readonly hasAppendOnlyFile: boolean
  /** The `save` setting: empty for no snapshots. */
  readonly save: string | undefined
  /** Its clock less ours. */
  readonly clockAheadMs: number | undefined
}

const OLDEST_MAJOR = 7
const MAX_CLOCK_DIFFERENCE_MS = 30_000

export function judgeRedis(
  facts: RedisFacts,
  { role, maxKeysPerScript }: { readonly role: DoctorRole; readonly maxKeysPerScript: number },
): Finding[] {
  return [
    judgeVersion(facts),
    judgeMode(facts, maxKeysPerScript),
    judgeEviction(facts),
    judgePersistence(facts, role),
    judgeClock(facts),
  ]
}

function judgeVersion({ isValkey, version }: RedisFacts): Finding {
  const check = 'version'
  const detail = `${isValkey ? 'Valkey' : 'Redis'} ${version}`
  return isValkey || Number.parseInt(version, 10) >= OLDEST_MAJOR
    ? redisFinding('ok', check, detail)
    : redisFinding('failed', check, detail, `Run Redis ${OLDEST_MAJOR} or newer, or Valkey.`)
}

function judgeMode({ isCluster, isReplica }: RedisFacts, maxKeysPerScript: number): Finding {
  const check = 'mode'
  if (isReplica) {
    const fix = 'Point REDIS_HOST at the primary; if there was a failover, look where it is now.'
    return redisFinding('failed', check, 'this is a replica, and refuses writes', fix)
  }
  if (isCluster && maxKeysPerScript > 1) {
    const fix = 'Set REDIS_SCRIPT_MAX_KEYS=1, or use a Redis that is no cluster.'
    return redisFinding('failed', check, 'a cluster, where the keys of one script must lie in one slot', fix)
  }
  return redisFinding('ok', check, isCluster ? 'a cluster node, one key a script' : 'one primary')
}

function judgeEviction({ evictionPolicy, maxMemoryBytes }: RedisFacts): Finding {
  const check = 'eviction'
  if (evictionPolicy === undefined)
    return redisFinding('skipped', check, 'Redis does not tell its maxmemory-policy')
  if (evictionPolicy === 'noeviction') return redisFinding('ok', check, evictionPolicy)
  const isLimited = maxMemoryBytes !== undefined && maxMemoryBytes > 0
  return redisFinding(
    'warning',
    check,
    `${evictionPolicy}: ${isLimited ? '' : 'with a limit of memory '}devices would vanish before their time`,
    'redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its configuration.',
  )
}

function judgePersistence({ hasAppendOnlyFile, save }: RedisFacts, role: DoctorRole): Finding {
  const check = 'persistence'
  if (hasAppendOnlyFile) return redisFinding('ok', check, 'an append-only file')
  if (save === undefined)
    return redisFinding('skipped', check, 'Redis does not let us read its settings (CONFIG GET)')
  if (save !== '') return redisFinding('ok', check, `snapshots (save ${save})`)
  const refilled = 'none: after a restart the workers read the topic again'
  if (role === 'worker') return redisFinding('ok', check, refilled)
  return redisFinding(
    'warning',
    check,
    `${refilled}, but what the kv-updater and the Redis Service store is lost`,
    'Switch on appendonly if those values must outlive a restart of Redis.',
  )
}

function judgeClock({ clockAheadMs }: RedisFacts): Finding {
  const check = 'clock'
  if (clockAheadMs === undefined)
    return redisFinding('skipped', check, 'the user may not ask Redis for its TIME')
  const seconds = Math.round(Math.abs(clockAheadMs) / 1000)
  if (Math.abs(clockAheadMs) <= MAX_CLOCK_DIFFERENCE_MS) {
    return redisFinding('ok', check, `within ${Math.max(1, seconds)} s of ours`)
  }
  const direction = clockAheadMs > 0 ? 'ahead of' : 'behind'
  return redisFinding(
    'warning',
    check,
    `${seconds} s ${direction} ours: devices expire by its clock, and records are judged by ours`,
    'Set both clocks (NTP).',
  )
}

/**
 * Can the topic refill the cache?
 *
 * @param settings of the topic, by name.
 * @param ttlMs how long a device lives; 0: for ever.
 */
export function judgeRetention(settings: ReadonlyMap<string, string>, ttlMs: number): Finding {
  const check = 'retention against REDIS_METADATA_TTL'
  const isCompacted = (settings.get('cleanup.policy') ?? '').includes('compact')
  const retentionMs = Number(settings.get('retention.ms') ?? Number.NaN)
  if (Number.isNaN(retentionMs)) return kafkaFinding('skipped', check, 'Kafka does not tell retention.ms')
  const keeps = retentionMs < 0 ? 'for ever' : `for ${duration(retentionMs)}`
  const lives = ttlMs === 0 ? 'for ever' : `for ${duration(ttlMs)}`
  const detail = `the topic keeps records ${keeps}, a device lives ${lives}`
  const limitBytes = Number(settings.get('retention.bytes') ?? -1)
  const limit = limitBytes > 0 ? ` (and at most ${limitBytes} bytes a partition)` : ''
  if (isCompacted)
    return kafkaFinding('ok', check, `the topic is compacted: each device's last record stays${limit}`)
  if (retentionMs < 0 || (ttlMs > 0 && retentionMs >= ttlMs)) return kafkaFinding('ok', check, detail + limit)
  return kafkaFinding(
    'warning',
    check,
    `${detail}: after a loss of Redis the older devices would not come back`,
    `Raise retention.ms of the topic to ${ttlMs === 0 ? 'what a rebuild must bring back' : `${ttlMs} or more`}, or lower REDIS_METADATA_TTL.`,
  )
}

/** A dead letter with all of its record is at most about twice as large as the bytes that it may carry. */
const LARGEST_LETTER_BYTES = 640 * 1024

export function judgeErrorTopic(settings: ReadonlyMap<string, string>): Finding {
  const check = 'max.message.bytes of the error topic'
  const bytes = Number(settings.get('max.message.bytes') ?? Number.NaN)
  if (Number.isNaN(bytes)) return kafkaFinding('skipped', check, 'Kafka does not tell it')
  if (bytes >= LARGEST_LETTER_BYTES) return kafkaFinding('ok', check, `${bytes}`)
  return kafkaFinding(
    'warning',
    check,
    `${bytes}: large dead letters are written without their record, and a replay must find it in its topic`,
    `Set max.message.bytes of the error topic to ${LARGEST_LETTER_BYTES} or more.`,
  )
}

/** In the largest unit that tells it without a fraction, or with one digit. */
export function duration(ms: number): string {
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

import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { certificatesProblem, isKeyOf, privateKeyProblem } from '../pem.ts'
import { RedisSettingsError } from './errors.ts'
import { parseRedisUrl } from '../redis-url.ts'
import {
  DEFAULT_REDIS_PORT,
  DEFAULT_SENTINEL_PORT,
  parseNatMap,
  parseServerAddresses,
  type NatMap,
  type ServerAddress,
} from '../server-address.ts'
import type { RedisSettings } from './settings.ts'

// The same variables with the same rules as in cache-service/config, which this must not import. A property test compares
// the two: test/unit/shared/redis-library/environment.test.ts.

type Environment = Readonly<Record<string, string | undefined>>

/** A value, or what the variable must be. */
type Parsed<T> = { readonly value: T } | { readonly problem: string }

/**
 * Reads the settings from the same environment variables as the service, by the same rules. An unset or empty variable means
 * its default.
 *
 * - `REDIS_HOST` (redis), `REDIS_PORT` (6379), `REDIS_DB` (0), `REDIS_USERNAME`, `REDIS_PASSWORD`
 * - `REDIS_URL`: `redis://` or `rediss://[user[:password]@]host[:port][/db]`, instead of all of the above
 * - `REDIS_TLS` (false), `REDIS_TLS_CA_FILE`, `REDIS_TLS_CERT_FILE`, `REDIS_TLS_KEY_FILE` (PEM),
 *   `REDIS_TLS_REJECT_UNAUTHORIZED` (true)
 * - `REDIS_SENTINELS`, `REDIS_SENTINEL_NAME` instead of `REDIS_HOST`, `REDIS_PORT` and `REDIS_URL`; `REDIS_SENTINEL_USERNAME`,
 *   `REDIS_SENTINEL_PASSWORD`, `REDIS_SENTINEL_TLS` (false)
 * - `REDIS_CLUSTER_NODES` instead of `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, `REDIS_URL` and `REDIS_SENTINELS`;
 *   `REDIS_CLUSTER_NAT_MAP`: `announced-host:port=reachable-host:port`, comma-separated
 * - `REDIS_TIMEOUT_S` (5)
 * - `REDIS_PASSWORD_FILE`, `REDIS_URL_FILE`, `REDIS_SENTINEL_PASSWORD_FILE`: name a file that contains the secret
 *
 * @param environment such as `process.env`
 * @throws RedisSettingsError that names every invalid variable, without quoting any value.
 */
export function redisSettingsFrom(environment: Environment): RedisSettings {
  const variables = new Variables(environment)
  const host = variables.plain('REDIS_HOST', parseHost) ?? 'redis'
  const port = variables.plain('REDIS_PORT', wholeNumber(1, 65_535)) ?? 6379
  const db = variables.plain('REDIS_DB', wholeNumber(0, 9999)) ?? 0
  const username = variables.plain('REDIS_USERNAME', parseText)
  const password = variables.secret('REDIS_PASSWORD', parseText)
  const url = variables.secret('REDIS_URL', parseUrl)
  const tls = variables.plain('REDIS_TLS', parseFlag)
  const rejectUnauthorized = variables.plain('REDIS_TLS_REJECT_UNAUTHORIZED', parseFlag) ?? true
  const timeoutMs = variables.plain('REDIS_TIMEOUT_S', parseTimeout) ?? 5_000
  const ca = variables.path('REDIS_TLS_CA_FILE', valid(certificatesProblem))
  const cert = variables.path('REDIS_TLS_CERT_FILE', valid(certificatesProblem))
  const key = variables.path('REDIS_TLS_KEY_FILE', valid(privateKeyProblem))

  const sentinels = variables.plain('REDIS_SENTINELS', addresses(DEFAULT_SENTINEL_PORT))
  const primary = variables.plain('REDIS_SENTINEL_NAME', parseSentinelName)
  const sentinelUsername = variables.plain('REDIS_SENTINEL_USERNAME', parseText)
  const sentinelPassword = variables.secret('REDIS_SENTINEL_PASSWORD', parseText)
  const sentinelTls = variables.plain('REDIS_SENTINEL_TLS', parseFlag) ?? false

  const clusterNodes = variables.plain('REDIS_CLUSTER_NODES', addresses(DEFAULT_REDIS_PORT))
  const natMap = variables.plain('REDIS_CLUSTER_NAT_MAP', natMapOf)

  const isTls = tls === true || url?.tls === true
  const isSet = (name: string) => variables.isSet(name)
  const [CERT, KEY] = ['REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'] as const
  variables.check([KEY, CERT], isSet(CERT) && !isSet(KEY), `is not set, but ${CERT} requires it`)
  variables.check([CERT, KEY], isSet(KEY) && !isSet(CERT), `is not set, but ${KEY} requires it`)
  const isForeign = cert !== undefined && key !== undefined && !isKeyOf(cert, key)
  variables.check([KEY, CERT], isForeign, `must name the private key of the first certificate in ${CERT}`)
  for (const file of ['REDIS_TLS_CA_FILE', CERT, KEY])
    variables.check(
      [file, 'REDIS_TLS', 'REDIS_URL', 'REDIS_SENTINEL_TLS'],
      isSet(file) && !isTls && !sentinelTls,
      'is set, but REDIS_TLS is not true',
    )
  const isWithoutPassword = isSet('REDIS_USERNAME') && !isSet('REDIS_PASSWORD') && !isSet('REDIS_URL')
  variables.check(
    ['REDIS_USERNAME', 'REDIS_PASSWORD'],
    isWithoutPassword,
    'is set, but REDIS_PASSWORD is not',
  )
  const isUserWithoutPassword = url?.username !== undefined && url.password === undefined
  variables.check(['REDIS_URL'], isUserWithoutPassword, 'names a user without a password')
  for (const part of ['REDIS_HOST', 'REDIS_PORT', 'REDIS_DB', 'REDIS_USERNAME', 'REDIS_PASSWORD'])
    variables.check([part, 'REDIS_URL'], isSet(part) && isSet('REDIS_URL'), 'and REDIS_URL are both set')
  const disagrees = tls !== undefined && url !== undefined && url.tls !== tls
  variables.check(['REDIS_TLS', 'REDIS_URL'], disagrees, 'and REDIS_URL disagree: rediss:// means TLS')

  const SENTINELS = 'REDIS_SENTINELS'
  for (const part of ['REDIS_HOST', 'REDIS_PORT', 'REDIS_URL'])
    variables.check([part, SENTINELS], isSet(part) && isSet(SENTINELS), `and ${SENTINELS} are both set`)
  variables.check(
    ['REDIS_SENTINEL_NAME', SENTINELS],
    isSet(SENTINELS) && !isSet('REDIS_SENTINEL_NAME'),
    `is not set, but ${SENTINELS} requires it`,
  )
  for (const part of ['NAME', 'USERNAME', 'PASSWORD', 'TLS'].map((end) => `REDIS_SENTINEL_${end}`))
    variables.check([part, SENTINELS], isSet(part) && !isSet(SENTINELS), `is set, but ${SENTINELS} is not`)
  variables.check(
    ['REDIS_SENTINEL_USERNAME', 'REDIS_SENTINEL_PASSWORD'],
    isSet('REDIS_SENTINEL_USERNAME') && !isSet('REDIS_SENTINEL_PASSWORD'),
    'is set, but REDIS_SENTINEL_PASSWORD is not',
  )

  const NODES = 'REDIS_CLUSTER_NODES'
  for (const part of ['REDIS_HOST', 'REDIS_PORT', 'REDIS_URL', SENTINELS])
    variables.check([part, NODES], isSet(part) && isSet(NODES), `and ${NODES} are both set`)
  variables.check(
    ['REDIS_DB', NODES],
    isSet(NODES) && db !== 0,
    'is not 0, and a Redis Cluster has only database 0',
  )
  const NAT_MAP = 'REDIS_CLUSTER_NAT_MAP'
  variables.check([NAT_MAP, NODES], isSet(NAT_MAP) && !isSet(NODES), `is set, but ${NODES} is not`)

  variables.throwProblems()
  const files = { ca, cert, key, rejectUnauthorized }
  const login = { tls: isTls ? files : undefined, timeoutMs }
  if (clusterNodes !== undefined) return { clusterNodes, natMap, username, password, ...login }
  if (sentinels !== undefined && primary !== undefined) {
    const ofSentinels = { sentinelUsername, sentinelPassword, sentinelTls: sentinelTls ? files : undefined }
    return { sentinels, name: primary, ...ofSentinels, db, username, password, ...login }
  }
  const { tls: _, ...server } = url ?? { tls: isTls, host, port, db, username, password }
  return { ...server, ...login }
}

class Variables {
  readonly #environment: Environment
  readonly #problems = new Map<string, string>()
  /** The variables that have a value, and those whose value or file is invalid. Without `_FILE`. */
  readonly #set = new Set<string>()
  readonly #bad = new Set<string>()

  constructor(environment: Environment) {
    this.#environment = environment
  }

  plain<T>(name: string, parse: (text: string) => Parsed<T>): T | undefined {
    return this.#parsed(name, this.#trimmed(name), parse)
  }

  /** The value itself, or the name of a file that contains it in the variable with `_FILE`. */
  secret<T>(name: string, parse: (text: string) => Parsed<T>): T | undefined {
    const text = this.#environment[name] ?? ''
    const fileVariable = `${name}_FILE`
    const path = (this.#environment[fileVariable] ?? '').trim()
    if (text !== '' && path !== '') return this.#refuse(name, name, `and ${fileVariable} are both set`)
    const content = path === '' ? text : this.#file(name, fileVariable, path)
    return this.#parsed(name, content, parse)
  }

  /** The content of the file that the variable names. */
  path<T>(name: string, parse: (text: string) => Parsed<T>): T | undefined {
    const path = this.#trimmed(name)
    return this.#parsed(name, path ? this.#file(name, name, path) : path, parse)
  }

  isSet(name: string): boolean {
    return this.#set.has(name)
  }

  /** Reports a problem of the first variable, unless one of the variables has one of its own. */
  check(names: readonly [string, ...string[]], isBroken: boolean, problem: string): void {
    if (isBroken && !names.some((name) => this.#bad.has(name))) this.#problems.set(names[0], problem)
  }

  throwProblems(): void {
    if (this.#problems.size > 0) throw new RedisSettingsError(this.#problems)
  }

  #parsed<T>(name: string, text: string | undefined, parse: (text: string) => Parsed<T>): T | undefined {
    if (text === undefined || text === '') return undefined
    this.#set.add(name)
    const parsed = parse(text)
    return 'value' in parsed ? parsed.value : this.#refuse(name, name, parsed.problem)
  }

  #refuse(name: string, variable: string, problem: string): undefined {
    this.#bad.add(name)
    this.#problems.set(variable, problem)
  }

  #trimmed(name: string): string | undefined {
    const text = (this.#environment[name] ?? '').trim()
    const isQuoted = text.length >= 2 && /^(["']).*\1$/s.test(text)
    return isQuoted
      ? this.#refuse(name, name, 'begins and ends with a quote, which would be part of it')
      : text
  }

  #file(name: string, variable: string, path: string): string | undefined {
    try {
      const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
      return text === '' ? this.#refuse(name, variable, 'names an empty file') : text
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
      return this.#refuse(name, variable, `names a file that can't be read (${code})`)
    }
  }
}

function parseText(text: string): Parsed<string> {
  return text.includes('\0') ? { problem: 'must not contain a NUL character' } : { value: text }
}

function parseHost(text: string): Parsed<string> {
  const isHost = isIPv6(text) || /^[A-Za-z0-9._-]{1,253}$/.test(text)
  return isHost ? { value: text } : { problem: 'must be a host name or an IP address, without a port' }
}

function addresses(defaultPort: number): (text: string) => Parsed<readonly ServerAddress[]> {
  return (text) => {
    const parsed = parseServerAddresses(text, defaultPort)
    return 'problem' in parsed ? parsed : { value: parsed }
  }
}

function natMapOf(text: string): Parsed<NatMap> {
  const parsed = parseNatMap(text)
  return 'problem' in parsed ? parsed : { value: parsed.natMap }
}

function parseSentinelName(text: string): Parsed<string> {
  return text.length <= 200 && !/[\s\p{Cc}]/u.test(text)
    ? { value: text }
    : { problem: 'must be 1 to 200 characters without spaces' }
}

function wholeNumber(minimum: number, maximum: number): (text: string) => Parsed<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
    const isWithin = value >= minimum && value <= maximum
    return isWithin ? { value } : { problem: `must be a whole number from ${minimum} to ${maximum}` }
  }
}

function parseTimeout(text: string): Parsed<number> {
  const value = /^\d{1,12}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN
  const isWithin = value >= 0.1 && value <= 60
  return isWithin
    ? { value: Math.round(value * 1000) }
    : { problem: 'must be a number of seconds from 0.1 to 60' }
}

function parseFlag(text: string): Parsed<boolean> {
  const word = text.toLowerCase()
  if (['true', '1', 'yes'].includes(word)) return { value: true }
  return ['false', '0', 'no'].includes(word) ? { value: false } : { problem: 'must be true or false' }
}

function parseUrl(text: string): Parsed<NonNullable<ReturnType<typeof parseRedisUrl>>> {
  const value = parseRedisUrl(text)
  return value === undefined
    ? { problem: 'must be redis:// or rediss://[user[:password]@]host[:port][/db]' }
    : { value }
}

function valid(problemOf: (text: string) => string | undefined): (text: string) => Parsed<string> {
  return (text) => {
    const problem = problemOf(text)
    return problem === undefined ? { value: text } : { problem }
  }
}

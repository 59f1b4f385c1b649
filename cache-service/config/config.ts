import { checks } from './checks.ts'
import { configSchema, options, type OptionName, type OptionValues } from './options.ts'
import { problemOfValue, type ConfigProblem } from './problems.ts'
import { readSource, type Environment, type ReadFile } from './sources.ts'
import type { DeviceId } from '../../shared/contract/device-id.ts'
import type { NatMap, ServerAddress } from '../../shared/server-address.ts'
import { misspellings, suspiciousSecrets, weaknesses } from './warnings.ts'

export { formatProblems, type ConfigProblem } from './problems.ts'
export { describeSettings, type Setting } from './settings.ts'

/** PEM texts, not paths. */
export type TlsConfig = Readonly<{
  ca: string | undefined
  cert: string | undefined
  key: string | undefined
  rejectUnauthorized: boolean
}>

export type SaslConfig = Readonly<{
  mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  username: string
  password: string
}>

export type KafkaConfig = Readonly<{
  brokers: readonly string[]
  clientId: string
  validatedDataTopic: string
  errorTopic: string
  groupId: string
  fetchMaxWaitMs: number
  fetchMaxBytes: number
  fetchMaxBytesPerPartition: number
  commitIntervalMs: number
  sessionTimeoutMs: number
  stallTimeoutMs: number
  lagPollIntervalMs: number
  tls: TlsConfig | undefined
  sasl: SaslConfig | undefined
}>

/** Where the Redis server is that accepts writes. */
export type RedisLocation =
  | Readonly<{ kind: 'address' } & ServerAddress>
  | Readonly<{
      kind: 'sentinels'
      sentinels: readonly ServerAddress[]
      /** Of the primary, as the Sentinels know it. */
      name: string
      username: string | undefined
      password: string | undefined
      tls: TlsConfig | undefined
    }>
  | Readonly<{
      kind: 'cluster'
      /** Some of its nodes. */
      nodes: readonly ServerAddress[]
      natMap: NatMap | undefined
    }>

export type RedisConfig = Readonly<{
  location: RedisLocation
  db: number
  username: string | undefined
  password: string | undefined
  tls: TlsConfig | undefined
  timeoutMs: number
  /** Replicas that must have a write before it counts as durable. */
  waitReplicas: number
  scriptMaxKeys: number
  scriptMaxBytes: number
}>

export type CacheConfig = Readonly<{
  /** 0: device hashes never expire. */
  metadataTtlMs: number
  extraFields: 'all' | readonly string[]
  maxFutureSkewMs: number
  maxRecordBytes: number
  sweepIntervalMs: number
  chunkMaxRecords: number
  chunkMaxBytes: number
}>

export type ApiConfig = Readonly<{
  host: string
  port: number
  /** undefined: not decided, which is allowed only on a loopback address. */
  auth: 'token' | 'off' | undefined
  tokensFile: string | undefined
  allowedHosts: readonly string[]
  maxConcurrentRequests: number
  /** 0: no limit. */
  rateLimitPerMinute: number
  trustedProxies: readonly string[]
  basePath: string
  corsOrigins: readonly string[]
  maxEventClients: number
  lookupCacheBytes: number
  searchMaxDevices: number
  cacheDefaultTtlS: number
  protectedPrefixes: readonly string[]
  queueChannel: string
  stateTypes: readonly string[]
}>

export type UpdaterConfig = Readonly<{
  channel: string
  validate: boolean
}>

export type LagMonitorConfig = Readonly<{
  /** Empty: the group of the workers. */
  groups: readonly string[]
  windowMs: number
  /** undefined: no canary records are sent. */
  canary: CanaryConfig | undefined
}>

export type CanaryConfig = Readonly<{
  everyMs: number
  deviceId: DeviceId
  /** undefined: the canary ends in Redis. */
  api: Readonly<{ url: string; token: string | undefined }> | undefined
}>

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'

export type ProcessConfig = Readonly<{
  logLevel: LogLevel
  metricsHost: string
  metricsPort: number
  shutdownTimeoutMs: number
}>

export type Config = Readonly<{
  kafka: KafkaConfig
  redis: RedisConfig
  cache: CacheConfig
  api: ApiConfig
  updater: UpdaterConfig
  lagMonitor: LagMonitorConfig
  process: ProcessConfig
}>

/** A warning is about something that is allowed, or ignored, but probably not meant. */
export type ParsedConfig = { readonly warnings: readonly string[] } & (
  { kind: 'ok'; config: Config } | { kind: 'invalid'; problems: ConfigProblem[] }
)

/** Reads every option and reports all invalid ones at once. Pure except for `readFile`, which returns the
 * content of a file or throws. */
export function parseConfig(env: Environment, readFile: ReadFile): ParsedConfig {
  const problems: ConfigProblem[] = []
  const bad = new Set<OptionName>()
  const given = new Map<OptionName, { text: string; shown: string }>()

  for (const option of options) {
    const source = readSource(option, env, readFile)
    if (source.kind === 'given') given.set(option.name, source)
    if (source.kind === 'unusable') {
      bad.add(option.name)
      problems.push(source.problem)
    }
  }

  const texts = options.map((option) => [option.name, given.get(option.name)?.text ?? option.default])
  const issues = configSchema.safeParse(Object.fromEntries(texts)).error?.issues ?? []
  for (const option of options) {
    const issue = issues.find(({ path }) => path[0] === option.name)
    if (!issue) continue
    bad.add(option.name)
    problems.push(problemOfValue(option, given.get(option.name)?.shown ?? '', issue.message))
  }

  const values = parseWithDefaultsFor(bad, given)
  for (const { variables, isBroken, message, fix } of checks) {
    if (variables.some((name) => bad.has(name))) continue
    if (!isBroken(values, (name) => given.has(name))) continue
    const description = options.find(({ name }) => name === variables[0])?.description ?? ''
    problems.push({ variable: variables[0], message, description, fix })
  }

  const warnings = [...misspellings(env), ...suspiciousSecrets(env)]
  if (problems.length > 0) return { kind: 'invalid', problems, warnings }
  return { kind: 'ok', config: assemble(values), warnings: [...warnings, ...weaknesses(values)] }
}

/** Replaces every invalid value by its default, so that one invalid value does not hide that two others
 * contradict each other. */
function parseWithDefaultsFor(
  bad: ReadonlySet<OptionName>,
  given: ReadonlyMap<OptionName, { text: string }>,
): OptionValues {
  const texts = options.map(({ name, default: defaultText }) => [
    name,
    (bad.has(name) ? undefined : given.get(name)?.text) ?? defaultText,
  ])
  const parsed = configSchema.safeParse(Object.fromEntries(texts))
  if (!parsed.success) throw new Error(`a default is invalid: ${parsed.error.message}`)
  return parsed.data
}

function assemble(values: OptionValues): Config {
  const { KAFKA_SASL_MECHANISM: mechanism } = values
  const address = values.REDIS_URL ?? {
    tls: values.REDIS_TLS,
    host: values.REDIS_HOST,
    port: values.REDIS_PORT,
    db: values.REDIS_DB,
    username: values.REDIS_USERNAME,
    password: values.REDIS_PASSWORD,
  }
  const kafkaTls: TlsConfig = {
    ca: values.KAFKA_SSL_CA_FILE,
    cert: values.KAFKA_SSL_CERT_FILE,
    key: values.KAFKA_SSL_KEY_FILE,
    rejectUnauthorized: values.KAFKA_SSL_REJECT_UNAUTHORIZED,
  }
  const redisTls: TlsConfig = {
    ca: values.REDIS_TLS_CA_FILE,
    cert: values.REDIS_TLS_CERT_FILE,
    key: values.REDIS_TLS_KEY_FILE,
    rejectUnauthorized: values.REDIS_TLS_REJECT_UNAUTHORIZED,
  }
  return {
    kafka: {
      brokers: values.KAFKA_BOOTSTRAP_SERVERS,
      clientId: values.KAFKA_CLIENT_ID,
      validatedDataTopic: values.KAFKA_VALIDATED_DATA_TOPIC,
      errorTopic: values.KAFKA_ERROR_TOPIC,
      groupId: values.KAFKA_CONSUMER_GROUP_ID,
      fetchMaxWaitMs: values.KAFKA_CONSUMER_POLL_TIMEOUT_S,
      fetchMaxBytes: values.KAFKA_FETCH_MAX_BYTES,
      fetchMaxBytesPerPartition: values.KAFKA_FETCH_MAX_BYTES_PER_PARTITION,
      commitIntervalMs: values.KAFKA_COMMIT_INTERVAL_S,
      sessionTimeoutMs: values.KAFKA_SESSION_TIMEOUT_S,
      stallTimeoutMs: values.KAFKA_STALL_TIMEOUT_S,
      lagPollIntervalMs: values.LAG_POLL_INTERVAL_S,
      tls: values.KAFKA_SSL ? kafkaTls : undefined,
      sasl: mechanism && {
        mechanism,
        username: values.KAFKA_SASL_USERNAME ?? '',
        password: values.KAFKA_SASL_PASSWORD ?? '',
      },
    },
    redis: {
      location: redisLocation(values, address, redisTls),
      db: address.db,
      username: address.username,
      password: address.password,
      tls: address.tls ? redisTls : undefined,
      timeoutMs: values.REDIS_TIMEOUT_S,
      waitReplicas: values.REDIS_WAIT_REPLICAS,
      scriptMaxKeys: values.REDIS_SCRIPT_MAX_KEYS,
      scriptMaxBytes: values.REDIS_SCRIPT_MAX_BYTES,
    },
    cache: {
      metadataTtlMs: values.REDIS_METADATA_TTL,
      extraFields: values.METADATA_EXTRA_FIELDS,
      maxFutureSkewMs: values.MAX_FUTURE_SKEW_S,
      maxRecordBytes: values.MAX_RECORD_BYTES,
      sweepIntervalMs: values.DEVICES_SWEEP_INTERVAL_S,
      chunkMaxRecords: values.CHUNK_MAX_RECORDS,
      chunkMaxBytes: values.CHUNK_MAX_BYTES,
    },
    api: {
      host: values.API_HOST,
      port: values.PORT,
      auth: values.API_AUTH,
      tokensFile: values.API_TOKENS_FILE,
      allowedHosts: values.API_ALLOWED_HOSTS,
      maxConcurrentRequests: values.API_MAX_CONCURRENT_REQUESTS,
      rateLimitPerMinute: values.API_RATE_LIMIT_PER_MINUTE,
      trustedProxies: values.API_TRUSTED_PROXIES,
      basePath: values.API_BASE_PATH,
      corsOrigins: values.API_CORS_ORIGINS,
      maxEventClients: values.API_MAX_EVENT_CLIENTS,
      lookupCacheBytes: values.API_LOOKUP_CACHE_BYTES,
      searchMaxDevices: values.API_SEARCH_MAX_DEVICES,
      cacheDefaultTtlS: values.CACHE_DEFAULT_TTL,
      protectedPrefixes: values.CACHE_PROTECTED_PREFIXES,
      queueChannel: values.QUEUE_CHANNEL,
      stateTypes: values.STATE_TYPES,
    },
    updater: {
      channel: values.REDIS_UPDATE_CHANNEL,
      validate: values.UPDATE_VALIDATE,
    },
    lagMonitor: {
      groups: values.LAG_GROUPS,
      windowMs: values.LAG_WINDOW_S,
      canary: canaryOf(values),
    },
    process: {
      logLevel: values.LOG_LEVEL,
      metricsHost: values.METRICS_HOST,
      metricsPort: values.METRICS_PORT,
      shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_S,
    },
  }
}

function redisLocation(values: OptionValues, address: ServerAddress, tls: TlsConfig): RedisLocation {
  if (values.REDIS_CLUSTER_NODES !== undefined)
    return { kind: 'cluster', nodes: values.REDIS_CLUSTER_NODES, natMap: values.REDIS_CLUSTER_NAT_MAP }
  if (values.REDIS_SENTINELS !== undefined)
    return {
      kind: 'sentinels',
      sentinels: values.REDIS_SENTINELS,
      name: values.REDIS_SENTINEL_NAME ?? '',
      username: values.REDIS_SENTINEL_USERNAME,
      password: values.REDIS_SENTINEL_PASSWORD,
      tls: values.REDIS_SENTINEL_TLS ? tls : undefined,
    }
  return { kind: 'address', host: address.host, port: address.port }
}

function canaryOf(values: OptionValues): CanaryConfig | undefined {
  const { CANARY_API_TOKEN: token, CANARY_API_URL: url, CANARY_DEVICE_ID: deviceId } = values
  const everyMs = values.CANARY_INTERVAL_S
  return everyMs === 0
    ? undefined
    : { everyMs, deviceId, api: url === undefined ? undefined : { url, token } }
}

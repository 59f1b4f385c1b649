import { z } from 'zod'
import {
  anyText,
  brokerList,
  certificates,
  bearerToken,
  canaryDeviceId,
  commaList,
  extraFields,
  flag,
  hostList,
  hostName,
  httpUrl,
  name,
  oneOf,
  optional,
  originList,
  pathPrefix,
  privateKey,
  proxyList,
  redisUrl,
  natMap,
  redisNodeList,
  sentinelList,
  seconds,
  topicName,
  wholeNumber,
} from './values.ts'

// The single definition of every option: default (as written in the environment; '' is none), description,
// schema. The parser, the tables in README.md and docs/configuration.md, and the messages for invalid values
// all come from here. After a change run `npm run docs:config`.

export type OptionFacts = Readonly<{
  group: 'Kafka' | 'Redis' | 'Cache' | 'API' | 'Updater' | 'Lag monitor' | 'Process'
  /** Everyday options are the ones a first reader needs: the README lists only these. */
  level: 'everyday' | 'advanced'
  default: string
  description: string
  /** `secret`: never printed, and NAME_FILE may name a file that contains it. `path`: the variable holds a path,
   * and the value is the content of that file. */
  kind: 'plain' | 'secret' | 'path'
}>

const factsBySchema = z.registry<OptionFacts>()

function optionsOf(group: OptionFacts['group']) {
  const at =
    (level: OptionFacts['level']) =>
    <T extends z.ZodType<unknown, string>>(
      defaultText: string,
      description: string,
      schema: T,
      kind: OptionFacts['kind'] = 'plain',
    ): T => {
      factsBySchema.add(schema, { group, level, default: defaultText, description, kind })
      return schema
    }
  return { everyday: at('everyday'), advanced: at('advanced') }
}

const kafka = optionsOf('Kafka')
const redis = optionsOf('Redis')
const cache = optionsOf('Cache')
const api = optionsOf('API')
const updater = optionsOf('Updater')
const lagMonitor = optionsOf('Lag monitor')
const service = optionsOf('Process')

/** The service writes these for every device, regardless of METADATA_EXTRA_FIELDS. */
const ALWAYS_KEPT_FIELDS = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist', 'last_updated']

const SASL_MECHANISMS = {
  plain: 'plain',
  'scram-sha-256': 'scram-sha-256',
  'scram-sha-512': 'scram-sha-512',
} as const

const API_AUTHS = { token: 'token', off: 'off' } as const

/** The levels of pino, plus Python's names for them. */
const LOG_LEVELS = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  fatal: 'fatal',
  critical: 'fatal',
} as const

export const configSchema = z.object({
  KAFKA_BOOTSTRAP_SERVERS: kafka.everyday(
    'kafka:9092',
    'Brokers to connect to first: a comma-separated list of `host:port`. The rest of the cluster is discovered from them.',
    brokerList(),
  ),
  KAFKA_VALIDATED_DATA_TOPIC: kafka.everyday(
    'iot_validated_data',
    'Topic that the normalizer writes and the worker reads.',
    topicName(),
  ),
  KAFKA_ERROR_TOPIC: kafka.everyday(
    'iot_errors',
    'Topic for dead letters: records that can never be applied. If it is missing, the worker holds rather than drop one.',
    topicName(),
  ),
  KAFKA_CONSUMER_GROUP_ID: kafka.everyday(
    'cache_service_group',
    'Consumer group. Its workers share the partitions; a new group reads the topic from the beginning.',
    name(249),
  ),
  KAFKA_CONSUMER_POLL_TIMEOUT_S: kafka.advanced(
    '1.0',
    'Maximum seconds that a broker may hold a fetch request for which it has no data. Bounds how often an idle worker polls.',
    seconds(0.01, 20),
  ),
  KAFKA_CLIENT_ID: kafka.advanced(
    'cache_service',
    'Client id of this service in the logs and quotas of the brokers.',
    name(249),
  ),
  KAFKA_FETCH_MAX_BYTES: kafka.advanced(
    '4194304',
    'Maximum bytes per fetch. Bounds memory: the heap needs six to ten times as much.',
    wholeNumber(1024, 1_073_741_824),
  ),
  KAFKA_FETCH_MAX_BYTES_PER_PARTITION: kafka.advanced(
    '524288',
    'Maximum bytes per partition in one fetch, so that a busy partition does not starve the others.',
    wholeNumber(1024, 1_073_741_824),
  ),
  KAFKA_COMMIT_INTERVAL_S: kafka.advanced(
    '0.5',
    'Seconds between commits. Bounds the load on the brokers, and what a worker that dies leaves to be repeated.',
    seconds(0.05, 60),
  ),
  KAFKA_SESSION_TIMEOUT_S: kafka.advanced(
    '30',
    'Seconds without a heartbeat after which Kafka reassigns the partitions of a worker.',
    seconds(6, 300),
  ),
  KAFKA_STALL_TIMEOUT_S: kafka.advanced(
    '60',
    'Seconds without a fetch after which a consumer that should be fetching is replaced.',
    seconds(1, 3600),
  ),
  LAG_POLL_INTERVAL_S: kafka.advanced(
    '10',
    'Seconds between measurements of the consumer lag. Bounds the load on the brokers.',
    seconds(0.1, 3600),
  ),
  KAFKA_SSL: kafka.advanced('false', 'Connect to the brokers over TLS.', flag()),
  KAFKA_SSL_CA_FILE: kafka.advanced(
    '',
    'PEM file with the CA that signed the certificates of the brokers. Empty: the CAs that Node.js trusts.',
    optional(certificates()),
    'path',
  ),
  KAFKA_SSL_CERT_FILE: kafka.advanced(
    '',
    'PEM file with the client certificate, for brokers that require one.',
    optional(certificates()),
    'path',
  ),
  KAFKA_SSL_KEY_FILE: kafka.advanced(
    '',
    'PEM file with the private key of `KAFKA_SSL_CERT_FILE`, without a passphrase.',
    optional(privateKey()),
    'path',
  ),
  KAFKA_SSL_REJECT_UNAUTHORIZED: kafka.advanced(
    'true',
    "Reject a broker whose certificate can't be verified. Set it to `false` only for troubleshooting.",
    flag(),
  ),
  KAFKA_SASL_MECHANISM: kafka.advanced(
    '',
    'SASL mechanism: `plain`, `scram-sha-256` or `scram-sha-512`. Empty: no authentication.',
    optional(oneOf(SASL_MECHANISMS, 'plain, scram-sha-256 or scram-sha-512')),
  ),
  KAFKA_SASL_USERNAME: kafka.advanced('', 'User name for `KAFKA_SASL_MECHANISM`.', optional(anyText())),
  KAFKA_SASL_PASSWORD: kafka.advanced(
    '',
    'Password for `KAFKA_SASL_MECHANISM`.',
    optional(anyText()),
    'secret',
  ),

  REDIS_HOST: redis.everyday('redis', 'Host name or IP address of Redis.', hostName()),
  REDIS_PORT: redis.everyday('6379', 'Port of Redis.', wholeNumber(1, 65_535)),
  REDIS_DB: redis.everyday(
    '0',
    'Redis database number. All readers of the cache must use the same one.',
    wholeNumber(0, 9999),
  ),
  REDIS_PASSWORD: redis.everyday('', 'Redis password. Empty: none.', optional(anyText()), 'secret'),
  REDIS_USERNAME: redis.advanced('', 'Redis ACL user. Empty: the default user.', optional(anyText())),
  REDIS_URL: redis.advanced(
    '',
    '`redis://[user[:password]@]host[:port][/db]`, or `rediss://` for TLS. Replaces the variables for host, port, database, user and password.',
    optional(redisUrl()),
    'secret',
  ),
  REDIS_SENTINELS: redis.advanced(
    '',
    'Comma-separated `host:port` of the Sentinels that know which server is the primary. A missing port is 26379. Replaces `REDIS_HOST`, `REDIS_PORT` and `REDIS_URL`.',
    optional(sentinelList()),
  ),
  REDIS_SENTINEL_NAME: redis.advanced(
    '',
    'Name of the primary in the configuration of the Sentinels (`sentinel monitor <name> …`), such as `mymaster`.',
    optional(name(200)),
  ),
  REDIS_SENTINEL_USERNAME: redis.advanced(
    '',
    'ACL user for the Sentinels. Empty: the default user.',
    optional(anyText()),
  ),
  REDIS_SENTINEL_PASSWORD: redis.advanced(
    '',
    'Password for the Sentinels, which is not `REDIS_PASSWORD`. Empty: none.',
    optional(anyText()),
    'secret',
  ),
  REDIS_SENTINEL_TLS: redis.advanced(
    'false',
    'Connect to the Sentinels over TLS, with the files of `REDIS_TLS_*`.',
    flag(),
  ),
  REDIS_CLUSTER_NODES: redis.advanced(
    '',
    'Comma-separated `host:port` of some nodes of a Redis Cluster; the others are discovered from them. A missing port is 6379. Replaces `REDIS_HOST`, `REDIS_PORT`, `REDIS_URL` and `REDIS_SENTINELS`.',
    optional(redisNodeList()),
  ),
  REDIS_CLUSTER_NAT_MAP: redis.advanced(
    '',
    'Comma-separated `announced-host:port=reachable-host:port`, if the nodes of the Redis Cluster announce addresses that can be reached only from within their network.',
    optional(natMap()),
  ),
  REDIS_WAIT_REPLICAS: redis.advanced(
    '0',
    'Replicas that must have received a write before its offset is committed. 0: none, and a failover may lose the last writes until they are noticed and read again.',
    wholeNumber(0, 9),
  ),
  REDIS_TLS: redis.advanced('false', 'Connect to Redis over TLS.', flag()),
  REDIS_TLS_CA_FILE: redis.advanced(
    '',
    'PEM file with the CA that signed the certificate of Redis. Empty: the CAs that Node.js trusts.',
    optional(certificates()),
    'path',
  ),
  REDIS_TLS_CERT_FILE: redis.advanced(
    '',
    'PEM file with the client certificate, for a Redis that requires one.',
    optional(certificates()),
    'path',
  ),
  REDIS_TLS_KEY_FILE: redis.advanced(
    '',
    'PEM file with the private key of `REDIS_TLS_CERT_FILE`, without a passphrase.',
    optional(privateKey()),
    'path',
  ),
  REDIS_TLS_REJECT_UNAUTHORIZED: redis.advanced(
    'true',
    "Reject a Redis whose certificate can't be verified. Set it to `false` only for troubleshooting.",
    flag(),
  ),
  REDIS_TIMEOUT_S: redis.advanced(
    '5',
    'Seconds without a reply after which a connection to Redis is considered lost. The worker retries the write.',
    seconds(0.1, 60),
  ),
  REDIS_SCRIPT_MAX_KEYS: redis.advanced(
    '128',
    'Maximum devices per script call. Bounds how long one script blocks the other clients of Redis.',
    wholeNumber(1, 1000),
  ),
  REDIS_SCRIPT_MAX_BYTES: redis.advanced(
    '262144',
    'Maximum bytes per script call, for the same reason. A single device may exceed it.',
    wholeNumber(1024, 67_108_864),
  ),

  REDIS_METADATA_TTL: cache.everyday(
    '86400',
    'Time to live of a device in seconds, counted from its last record. 0: devices never expire.',
    seconds(0, 3_153_600_000),
  ),
  METADATA_EXTRA_FIELDS: cache.everyday(
    '',
    'Metadata fields to keep besides the four known ones: a comma-separated list, or `*` for all. Empty: none.',
    extraFields(ALWAYS_KEPT_FIELDS),
  ),
  MAX_FUTURE_SKEW_S: cache.advanced(
    '300',
    'Seconds by which an event time may exceed its record time. Beyond that, the record time replaces it; otherwise a wrong device clock would block every later update.',
    seconds(0, 86_400),
  ),
  MAX_RECORD_BYTES: cache.advanced(
    '1048576',
    'Maximum bytes of a record; a larger one becomes a dead letter. Bounds the time and memory that one record can take.',
    wholeNumber(1024, 1_073_741_824),
  ),
  DEVICES_SWEEP_INTERVAL_S: cache.advanced(
    '300',
    'Seconds between sweeps that remove expired devices from the device index.',
    seconds(1, 86_400),
  ),
  CHUNK_MAX_RECORDS: cache.advanced(
    '2500',
    'Maximum records per chunk, the unit in which a partition is coalesced and written. Bounds what a crash repeats.',
    wholeNumber(1, 100_000),
  ),
  CHUNK_MAX_BYTES: cache.advanced(
    '4194304',
    'Maximum bytes per chunk, for the same reason.',
    wholeNumber(1024, 1_073_741_824),
  ),

  PORT: api.everyday('5011', 'Port of the API and the web page. 0: any free port.', wholeNumber(0, 65_535)),
  API_HOST: api.advanced(
    '127.0.0.1',
    'Address on which the API listens. The image sets `0.0.0.0`: there, publishing the port decides who can reach it.',
    hostName(),
  ),
  API_AUTH: api.advanced(
    '',
    '`token`: callers need a token of `API_TOKENS_FILE`. `off`: no authentication. Empty: `off`, but the API starts only on a loopback address.',
    optional(oneOf(API_AUTHS, 'token or off')),
  ),
  API_TOKENS_FILE: api.advanced(
    '',
    'File of tokens in JSON, each with `name`, `sha256` (hex digest of the token), `scopes` (`read`, `write`, `admin`) and optionally `expires`. Reloaded when it changes.',
    optional(anyText()),
  ),
  API_ALLOWED_HOSTS: api.advanced(
    '',
    'Comma-separated host names under which the API may be called without tokens, besides `localhost` and loopback addresses. Prevents DNS rebinding from web pages.',
    hostList(),
  ),
  API_MAX_CONCURRENT_REQUESTS: api.advanced(
    '512',
    'Maximum concurrent requests; further ones are rejected immediately with 503. Bounds memory and latency. Probes and event streams are not counted.',
    wholeNumber(1, 100_000),
  ),
  API_RATE_LIMIT_PER_MINUTE: api.advanced(
    '0',
    'Maximum requests per minute for one client address or one token; further ones are rejected with 429. 0: no limit.',
    wholeNumber(0, 100_000_000),
  ),
  API_TRUSTED_PROXIES: api.advanced(
    '',
    'Comma-separated addresses or networks (CIDR) of reverse proxies. A request from one of them counts for the client in its `X-Forwarded-For`. Empty: none.',
    proxyList(),
  ),
  API_BASE_PATH: api.advanced(
    '',
    'Path prefix, such as `/cache`, under which a reverse proxy forwards requests without removing it. Paths without it work, too. Empty: none.',
    pathPrefix(),
  ),
  API_CORS_ORIGINS: api.advanced(
    '',
    'Comma-separated origins whose web pages may call the API from a browser, such as `https://example.org`. Empty: none.',
    originList(),
  ),
  API_MAX_EVENT_CLIENTS: api.advanced(
    '2000',
    'Maximum clients that follow `/api/events`; further ones are rejected with 503. Bounds memory.',
    wholeNumber(1, 100_000),
  ),
  API_LOOKUP_CACHE_BYTES: api.advanced(
    '16777216',
    'Maximum size of the devices (about 400 bytes each) that the API keeps in memory while Redis reports which have changed. 0: every lookup reads from Redis.',
    wholeNumber(0, 2 ** 31),
  ),
  API_SEARCH_MAX_DEVICES: api.advanced(
    '1000000',
    'Maximum devices that a search covers; if the cache holds more, its answers have `truncated`, and there is no export. Bounds memory: about 115 bytes per device while searches are made.',
    wholeNumber(1, 20_000_000),
  ),
  CACHE_DEFAULT_TTL: api.advanced(
    '3600',
    'Time to live in seconds of a value that is stored through `/api/cache` without a `ttl`.',
    wholeNumber(1, 3_153_600_000),
  ),
  CACHE_PROTECTED_PREFIXES: api.advanced(
    '',
    'Comma-separated key prefixes that `/api/cache` and updates must not touch, besides the platform keys.',
    commaList(256),
  ),
  QUEUE_CHANNEL: api.advanced(
    'inventarios_updates',
    'Channel to which `/api/queue/publish` publishes by default.',
    name(256),
  ),
  STATE_TYPES: api.advanced(
    '',
    'Comma-separated types that `/api/state` shows besides those that the kv-updater has written: the keys of an older updater.',
    commaList(256),
  ),

  REDIS_UPDATE_CHANNEL: updater.advanced(
    'update',
    'Redis channel on which updates are published.',
    name(256),
  ),
  UPDATE_VALIDATE: updater.advanced(
    'true',
    'Read every update back after writing it and compare it with what was sent.',
    flag(),
  ),

  LAG_GROUPS: lagMonitor.advanced(
    '',
    'Comma-separated consumer groups whose lag the lag monitor measures, of any program. Empty: `KAFKA_CONSUMER_GROUP_ID`. If it is set, the role `all` includes the lag monitor.',
    commaList(249),
  ),
  LAG_WINDOW_S: lagMonitor.advanced(
    '300',
    'Seconds over which the lag monitor judges whether a lag grows or stands. At least six times `LAG_POLL_INTERVAL_S`.',
    seconds(1, 86_400),
  ),

  CANARY_INTERVAL_S: lagMonitor.advanced(
    '0',
    'Seconds between canary records, which the lag monitor sends to `KAFKA_VALIDATED_DATA_TOPIC` and follows to Redis and the API. 0: none. If it is set, the role `all` includes the lag monitor.',
    seconds(0, 60),
  ),
  CANARY_DEVICE_ID: lagMonitor.advanced(
    'cache_service_canary',
    'Device id of the canary records; it begins with `cache_service_canary`, so that no real device has it. It appears in lists of devices.',
    canaryDeviceId(),
  ),
  CANARY_API_URL: lagMonitor.advanced(
    '',
    'Address of an API that must serve the canary records, such as `http://cache_service:5011`. Empty: they are followed to Redis only.',
    optional(httpUrl()),
  ),
  CANARY_API_TOKEN: lagMonitor.advanced(
    '',
    'Token with the scope `read` for `CANARY_API_URL`. Empty: none.',
    optional(bearerToken()),
    'secret',
  ),

  LOG_LEVEL: service.everyday(
    'INFO',
    'Minimum severity of log lines: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`.',
    oneOf(LOG_LEVELS, 'TRACE, DEBUG, INFO, WARN, ERROR or FATAL'),
  ),
  METRICS_PORT: service.everyday(
    '9464',
    'Port of `/metrics`, `/livez` and `/readyz`. 0: any free port.',
    wholeNumber(0, 65_535),
  ),
  METRICS_HOST: service.advanced(
    '127.0.0.1',
    'Address of `/metrics`, `/livez` and `/readyz`. The image sets `0.0.0.0`: there, publishing the port decides who can reach it.',
    hostName(),
  ),
  SHUTDOWN_TIMEOUT_S: service.advanced(
    '20',
    'Seconds to finish the current chunk and leave the consumer group after SIGTERM. The supervisor that stops the process must allow more.',
    seconds(1, 600),
  ),
})

export type OptionName = keyof typeof configSchema.shape
export type OptionValues = Readonly<z.output<typeof configSchema>>
export type Option = OptionFacts & Readonly<{ name: OptionName }>

export const optionNames = configSchema.keyof().options

export const options: readonly Option[] = optionNames.map((optionName) => {
  const facts = factsBySchema.get(configSchema.shape[optionName])
  if (!facts) throw new Error(`${optionName} is not registered`)
  return { name: optionName, ...facts }
})

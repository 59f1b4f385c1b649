import { z } from 'zod'
import {
  anyText,
  brokerList,
  commaList,
  extraFields,
  flag,
  hostList,
  hostName,
  name,
  oneOf,
  optional,
  originList,
  pemText,
  redisUrl,
  seconds,
  topicName,
  wholeNumber,
} from './values.ts'

// Every option that exists, once: default (as it would be written in the environment; '' is none),
// description, schema. The parser, the README's tables and the messages for a bad value all come from here.
// After a change here run `npm run docs:config`.

export type OptionFacts = Readonly<{
  group: 'Kafka' | 'Redis' | 'Cache' | 'API' | 'Updater' | 'Process'
  /** Everyday options are the ones a first reader needs; the rest is folded away in the README. */
  level: 'everyday' | 'advanced'
  default: string
  description: string
  /** `secret`: never printed, and NAME_FILE may name a file that holds it. `path`: the variable holds a path,
   * and the value is the file's text. */
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
const service = optionsOf('Process')

/** Written for every device by the service itself, whatever METADATA_EXTRA_FIELDS says. */
const ALWAYS_KEPT_FIELDS = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist', 'last_updated']

const SASL_MECHANISMS = {
  plain: 'plain',
  'scram-sha-256': 'scram-sha-256',
  'scram-sha-512': 'scram-sha-512',
} as const

const API_AUTHS = { token: 'token', off: 'off' } as const

/** Those of pino, and Python's names for them. */
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
    'Brokers to start from: `host:port`, several with commas. The rest of the cluster is found from them.',
    brokerList(),
  ),
  KAFKA_VALIDATED_DATA_TOPIC: kafka.everyday(
    'iot_validated_data',
    'The topic that the normalizer writes and this service reads.',
    topicName(),
  ),
  KAFKA_ERROR_TOPIC: kafka.everyday(
    'iot_errors',
    'Where a record goes that can never be applied. Nothing is skipped while it is missing.',
    topicName(),
  ),
  KAFKA_CONSUMER_GROUP_ID: kafka.everyday(
    'cache_service_group',
    'Workers of one group share the partitions. A new name reads the topic from its beginning.',
    name(249),
  ),
  KAFKA_CONSUMER_POLL_TIMEOUT_S: kafka.advanced(
    '1.0',
    'Seconds that a broker may hold a fetch while it has nothing to send: bounds how often an idle worker asks.',
    seconds(0.01, 20),
  ),
  KAFKA_CLIENT_ID: kafka.advanced(
    'cache_service',
    'The name under which the logs and quotas of the brokers know this service.',
    name(249),
  ),
  KAFKA_FETCH_MAX_BYTES: kafka.advanced(
    '4194304',
    'Bytes of one fetch: bounds memory, as the heap needs six to ten times as much.',
    wholeNumber(1024, 1_073_741_824),
  ),
  KAFKA_FETCH_MAX_BYTES_PER_PARTITION: kafka.advanced(
    '524288',
    'Bytes of one partition in one fetch, so that a busy partition does not starve the others.',
    wholeNumber(1024, 1_073_741_824),
  ),
  KAFKA_PARTITIONS_CONCURRENCY: kafka.advanced(
    '4',
    'Partitions handled at a time: one is parsed while another waits for Redis.',
    wholeNumber(1, 16),
  ),
  KAFKA_SESSION_TIMEOUT_S: kafka.advanced(
    '30',
    'Seconds without a sign of life after which Kafka gives the partitions of a worker to the others.',
    seconds(6, 300),
  ),
  KAFKA_STALL_TIMEOUT_S: kafka.advanced(
    '60',
    'Seconds without a fetch after which a consumer that ought to fetch is rebuilt.',
    seconds(1, 3600),
  ),
  LAG_POLL_INTERVAL_S: kafka.advanced(
    '10',
    'Seconds between two measurements of the consumer lag: bounds the questions put to the brokers.',
    seconds(0.1, 3600),
  ),
  KAFKA_SSL: kafka.advanced('false', 'TLS to the brokers.', flag()),
  KAFKA_SSL_CA_FILE: kafka.advanced(
    '',
    'PEM file with the authority that signed the certificates of the brokers. Without it, those that Node trusts.',
    optional(pemText()),
    'path',
  ),
  KAFKA_SSL_CERT_FILE: kafka.advanced(
    '',
    'PEM file with a certificate of our own, for brokers that ask for one.',
    optional(pemText()),
    'path',
  ),
  KAFKA_SSL_KEY_FILE: kafka.advanced(
    '',
    'PEM file with the key of `KAFKA_SSL_CERT_FILE`, without a passphrase.',
    optional(pemText()),
    'path',
  ),
  KAFKA_SSL_REJECT_UNAUTHORIZED: kafka.advanced(
    'true',
    "Refuse a broker whose certificate can't be verified. `false` only to find a fault.",
    flag(),
  ),
  KAFKA_SASL_MECHANISM: kafka.advanced(
    '',
    'How to log in to the brokers: `plain`, `scram-sha-256` or `scram-sha-512`. Empty: not at all.',
    optional(oneOf(SASL_MECHANISMS, 'plain, scram-sha-256 or scram-sha-512')),
  ),
  KAFKA_SASL_USERNAME: kafka.advanced('', 'The user for `KAFKA_SASL_MECHANISM`.', optional(anyText())),
  KAFKA_SASL_PASSWORD: kafka.advanced(
    '',
    'The password for `KAFKA_SASL_MECHANISM`.',
    optional(anyText()),
    'secret',
  ),

  REDIS_HOST: redis.everyday('redis', 'Where Redis is.', hostName()),
  REDIS_PORT: redis.everyday('6379', 'The port of Redis.', wholeNumber(1, 65_535)),
  REDIS_DB: redis.everyday(
    '0',
    'The database of Redis. Everyone who reads the cache must use the same one.',
    wholeNumber(0, 9999),
  ),
  REDIS_PASSWORD: redis.everyday('', 'The password of Redis. Empty: none.', optional(anyText()), 'secret'),
  REDIS_USERNAME: redis.advanced('', 'The ACL user of Redis. Empty: the default user.', optional(anyText())),
  REDIS_URL: redis.advanced(
    '',
    '`redis://[user[:password]@]host[:port][/db]`, or `rediss://` for TLS, instead of host, port, database, user and password.',
    optional(redisUrl()),
    'secret',
  ),
  REDIS_TLS: redis.advanced('false', 'TLS to Redis.', flag()),
  REDIS_TLS_CA_FILE: redis.advanced(
    '',
    'PEM file with the authority that signed the certificate of Redis. Without it, those that Node trusts.',
    optional(pemText()),
    'path',
  ),
  REDIS_TLS_CERT_FILE: redis.advanced(
    '',
    'PEM file with a certificate of our own, for a Redis that asks for one.',
    optional(pemText()),
    'path',
  ),
  REDIS_TLS_KEY_FILE: redis.advanced(
    '',
    'PEM file with the key of `REDIS_TLS_CERT_FILE`, without a passphrase.',
    optional(pemText()),
    'path',
  ),
  REDIS_TLS_REJECT_UNAUTHORIZED: redis.advanced(
    'true',
    "Refuse a Redis whose certificate can't be verified. `false` only to find a fault.",
    flag(),
  ),
  REDIS_TIMEOUT_S: redis.advanced(
    '5',
    'Seconds of silence after which a connection to Redis counts as lost and the write is tried again.',
    seconds(0.1, 60),
  ),
  REDIS_SCRIPT_MAX_KEYS: redis.advanced(
    '128',
    'Devices written by one call: bounds how long one script keeps every other client of Redis waiting.',
    wholeNumber(1, 1000),
  ),
  REDIS_SCRIPT_MAX_BYTES: redis.advanced(
    '262144',
    'Bytes sent in one call, for the same reason. A single device may exceed it.',
    wholeNumber(1024, 67_108_864),
  ),

  REDIS_METADATA_TTL: cache.everyday(
    '86400',
    'Seconds after its last record when a device is forgotten. 0: never.',
    seconds(0, 3_153_600_000),
  ),
  METADATA_EXTRA_FIELDS: cache.everyday(
    '',
    'Metadata fields to keep besides the four known ones: names with commas, or `*` for all of them. Empty: none.',
    extraFields(ALWAYS_KEPT_FIELDS),
  ),
  MAX_FUTURE_SKEW_S: cache.advanced(
    '300',
    'Seconds that an event may lie after its record. Beyond, the clock of the device is wrong, and the time of the record counts: or no later update would ever win.',
    seconds(0, 86_400),
  ),
  MAX_RECORD_BYTES: cache.advanced(
    '1048576',
    'Bytes of one record. A larger one is a dead letter: bounds the time and memory that one record can take.',
    wholeNumber(1024, 1_073_741_824),
  ),
  DEVICES_SWEEP_INTERVAL_S: cache.advanced(
    '300',
    'Seconds between two sweeps that take expired devices out of the index.',
    seconds(1, 86_400),
  ),
  CHUNK_MAX_RECORDS: cache.advanced(
    '10000',
    'Records of a partition that are coalesced and written as a whole: bounds what a crash repeats.',
    wholeNumber(1, 100_000),
  ),
  CHUNK_MAX_BYTES: cache.advanced(
    '4194304',
    'Bytes of them, for the same reason.',
    wholeNumber(1024, 1_073_741_824),
  ),

  PORT: api.everyday(
    '5011',
    'Port of the API and of the page for people. 0: any free one.',
    wholeNumber(0, 65_535),
  ),
  API_HOST: api.advanced(
    '127.0.0.1',
    'Address of the API. The image says `0.0.0.0`, since its port is published or not outside.',
    hostName(),
  ),
  API_AUTH: api.advanced(
    '',
    '`token`: callers show one of `API_TOKENS_FILE`. `off`: nobody is asked. Empty: off, and the API refuses to start anywhere but on a loopback address.',
    optional(oneOf(API_AUTHS, 'token or off')),
  ),
  API_TOKENS_FILE: api.advanced(
    '',
    'File with the tokens: JSON, each with `name`, `sha256` (of the token, in hex), `scopes` (of `read`, `write`, `admin`) and perhaps `expires`. Read again when it changes.',
    optional(anyText()),
  ),
  API_ALLOWED_HOSTS: api.advanced(
    '',
    'Names, with commas, by which callers may address the API while nobody is asked for a token. `localhost` and loopback addresses always are. Else any web page could reach it through a name of its own.',
    hostList(),
  ),
  API_MAX_CONCURRENT_REQUESTS: api.advanced(
    '512',
    'Requests in work at a time; one more is told 503 at once. Bounds memory and waiting. Probes and open streams do not count.',
    wholeNumber(1, 100_000),
  ),
  API_RATE_LIMIT_PER_MINUTE: api.advanced(
    '0',
    'Requests of one address, or of one token, in a minute; one more is told 429. 0: no limit.',
    wholeNumber(0, 100_000_000),
  ),
  API_CORS_ORIGINS: api.advanced(
    '',
    'Origins, with commas, whose web pages may call the API from a browser, such as `https://example.org`. Empty: none.',
    originList(),
  ),
  API_MAX_EVENT_CLIENTS: api.advanced(
    '2000',
    'Clients that follow `/api/events` at a time; one more is told 503. Bounds memory.',
    wholeNumber(1, 100_000),
  ),
  CACHE_DEFAULT_TTL: api.advanced(
    '3600',
    'Seconds that a value stored by `/api/cache` without a `ttl` lives.',
    wholeNumber(1, 3_153_600_000),
  ),
  CACHE_PROTECTED_PREFIXES: api.advanced(
    '',
    'Beginnings of keys, with commas, that `/api/cache` and updates may not touch, besides the keys of the platform.',
    commaList(256),
  ),
  QUEUE_CHANNEL: api.advanced(
    'inventarios_updates',
    'Channel to which `/api/queue/publish` publishes when none is named.',
    name(256),
  ),
  STATE_TYPES: api.advanced(
    '',
    'Types, with commas, that `/api/state` shows besides those that the kv-updater has written: keys of an older updater.',
    commaList(256),
  ),

  REDIS_UPDATE_CHANNEL: updater.advanced(
    'update',
    'Channel of Redis on which updates are published.',
    name(256),
  ),
  UPDATE_VALIDATE: updater.advanced(
    'true',
    'Read back each updated value and compare it with what was sent.',
    flag(),
  ),

  LOG_LEVEL: service.everyday(
    'INFO',
    'The least severe log lines to write: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`.',
    oneOf(LOG_LEVELS, 'TRACE, DEBUG, INFO, WARN, ERROR or FATAL'),
  ),
  METRICS_PORT: service.everyday(
    '9464',
    'Port of `/metrics`, `/livez` and `/readyz`. 0: any free one.',
    wholeNumber(0, 65_535),
  ),
  METRICS_HOST: service.advanced(
    '127.0.0.1',
    'Address of `/metrics`, `/livez` and `/readyz`. The image says `0.0.0.0`, since its port is published or not outside.',
    hostName(),
  ),
  SHUTDOWN_TIMEOUT_S: service.advanced(
    '20',
    'Seconds to finish the chunk in hand and leave after SIGTERM. Whoever stops the process must allow it more.',
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

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  formatProblems,
  parseConfig,
  type Config,
  type ConfigProblem,
} from '../../../cache-service/config/config.ts'
import { options } from '../../../cache-service/config/options.ts'
import { repository } from '../../support/repository.ts'
import { createTlsFiles } from '../../support/servers/tls-certificates.ts'

type Env = Record<string, string | undefined>

/** A certificate authority. */
const PEM = readFileSync(join(repository, 'test/fixtures/ca.pem'), 'utf8')

function noFiles(path: string): string {
  throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
}

function filesOf(files: Record<string, string>): (path: string) => string {
  return (path) => files[path] ?? noFiles(path)
}

function configOf(env: Env, readFile = noFiles): Config {
  const parsed = parseConfig(env, readFile)
  if (parsed.kind === 'ok') return parsed.config
  throw new Error(formatProblems(parsed.problems))
}

function problemsOf(env: Env, readFile = noFiles): ConfigProblem[] {
  const parsed = parseConfig(env, readFile)
  return parsed.kind === 'invalid' ? parsed.problems : []
}

function warningsOf(env: Env): readonly string[] {
  const parsed = parseConfig(env, noFiles)
  if (parsed.kind === 'ok') return parsed.warnings
  throw new Error(formatProblems(parsed.problems))
}

describe('an empty environment', () => {
  it('yields the documented defaults', () => {
    expect(configOf({})).toEqual({
      kafka: {
        brokers: ['kafka:9092'],
        clientId: 'cache_service',
        validatedDataTopic: 'iot_validated_data',
        errorTopic: 'iot_errors',
        groupId: 'cache_service_group',
        fetchMaxWaitMs: 1000,
        fetchMaxBytes: 4_194_304,
        fetchMaxBytesPerPartition: 524_288,
        commitIntervalMs: 500,
        sessionTimeoutMs: 30_000,
        stallTimeoutMs: 60_000,
        lagPollIntervalMs: 10_000,
        tls: undefined,
        sasl: undefined,
      },
      redis: {
        location: { kind: 'address', host: 'redis', port: 6379 },
        db: 0,
        username: undefined,
        password: undefined,
        tls: undefined,
        timeoutMs: 5000,
        waitReplicas: 0,
        scriptMaxKeys: 128,
        scriptMaxBytes: 262_144,
      },
      cache: {
        metadataTtlMs: 86_400_000,
        extraFields: [],
        maxFutureSkewMs: 300_000,
        maxRecordBytes: 1_048_576,
        sweepIntervalMs: 300_000,
        chunkMaxRecords: 2500,
        chunkMaxBytes: 4_194_304,
      },
      api: {
        host: '127.0.0.1',
        port: 5011,
        auth: undefined,
        tokensFile: undefined,
        allowedHosts: [],
        maxConcurrentRequests: 512,
        rateLimitPerMinute: 0,
        trustedProxies: [],
        basePath: '',
        corsOrigins: [],
        maxEventClients: 2000,
        lookupCacheBytes: 16_777_216,
        searchMaxDevices: 1_000_000,
        cacheDefaultTtlS: 3600,
        protectedPrefixes: [],
        queueChannel: 'inventarios_updates',
        stateTypes: [],
      },
      updater: { channel: 'update', validate: true },
      lagMonitor: { groups: [], windowMs: 300_000, canary: undefined },
      process: { logLevel: 'info', metricsHost: '127.0.0.1', metricsPort: 9464, shutdownTimeoutMs: 20_000 },
    } satisfies Config)
  })

  it('is equivalent to one in which every variable is empty or blank', () => {
    const empty = Object.fromEntries(options.map(({ name }) => [name, '']))
    const blank = Object.fromEntries(
      options.filter(({ kind }) => kind !== 'secret').map(({ name }) => [name, ' ']),
    )
    expect(configOf(empty)).toEqual(configOf({}))
    expect(configOf(blank)).toEqual(configOf({}))
  })

  it('causes no warning', () => {
    expect(warningsOf({ PATH: '/bin', HOME: '/', PORT: '1' })).toEqual([])
  })
})

describe('a valid value', () => {
  const valid: [Env, (config: Config) => unknown, unknown][] = [
    [{ KAFKA_BOOTSTRAP_SERVERS: 'a:1, b ,[::1]:3' }, (c) => c.kafka.brokers, ['a:1', 'b:9092', '[::1]:3']],
    [{ KAFKA_CONSUMER_POLL_TIMEOUT_S: '0.25' }, (c) => c.kafka.fetchMaxWaitMs, 250],
    [{ KAFKA_COMMIT_INTERVAL_S: '2' }, (c) => c.kafka.commitIntervalMs, 2_000],
    [{ KAFKA_SESSION_TIMEOUT_S: ' 6 ' }, (c) => c.kafka.sessionTimeoutMs, 6000],
    [{ REDIS_HOST: '::1' }, (c) => c.redis.location, { kind: 'address', host: '::1', port: 6379 }],
    [{ REDIS_PASSWORD: ' p w ' }, (c) => c.redis.password, ' p w '],
    [{ REDIS_METADATA_TTL: '0' }, (c) => c.cache.metadataTtlMs, 0],
    [{ METADATA_EXTRA_FIELDS: '*' }, (c) => c.cache.extraFields, 'all'],
    [{ METADATA_EXTRA_FIELDS: 'a, b,,a' }, (c) => c.cache.extraFields, ['a', 'b']],
    [{ MAX_FUTURE_SKEW_S: '0' }, (c) => c.cache.maxFutureSkewMs, 0],
    [{ LOG_LEVEL: 'Warning' }, (c) => c.process.logLevel, 'warn'],
    [{ LOG_LEVEL: 'CRITICAL' }, (c) => c.process.logLevel, 'fatal'],
    [{ LOG_LEVEL: 'trace' }, (c) => c.process.logLevel, 'trace'],
    [{ METRICS_PORT: '0' }, (c) => c.process.metricsPort, 0],
    [{ PORT: '0' }, (c) => c.api.port, 0],
    [{ API_AUTH: 'OFF' }, (c) => c.api.auth, 'off'],
    [{ API_AUTH: 'token', API_TOKENS_FILE: '/run/tokens' }, (c) => c.api.tokensFile, '/run/tokens'],
    [
      { API_ALLOWED_HOSTS: 'Cache_Service, [::1],a.b' },
      (c) => c.api.allowedHosts,
      ['cache_service', '::1', 'a.b'],
    ],
    [
      { API_CORS_ORIGINS: 'https://a.org,http://b:81' },
      (c) => c.api.corsOrigins,
      ['https://a.org', 'http://b:81'],
    ],
    [
      { API_TRUSTED_PROXIES: '10.1.0.0/16, ::1,Loopback,10.1.0.0/16' },
      (c) => c.api.trustedProxies,
      ['10.1.0.0/16', '::1', 'loopback'],
    ],
    [{ API_BASE_PATH: '/' }, (c) => c.api.basePath, ''],
    [{ API_BASE_PATH: '/iot/cache_1/' }, (c) => c.api.basePath, '/iot/cache_1'],
    [{ STATE_TYPES: 'a, b,a' }, (c) => c.api.stateTypes, ['a', 'b']],
    [{ CACHE_PROTECTED_PREFIXES: 'session:,x' }, (c) => c.api.protectedPrefixes, ['session:', 'x']],
    [{ UPDATE_VALIDATE: 'no' }, (c) => c.updater.validate, false],
    [{ KAFKA_SSL: 'YES' }, (c) => c.kafka.tls?.rejectUnauthorized, true],
    [{ KAFKA_SSL: '0' }, (c) => c.kafka.tls, undefined],
    [{ REDIS_TLS: '1', REDIS_TLS_REJECT_UNAUTHORIZED: 'no' }, (c) => c.redis.tls?.rejectUnauthorized, false],
    [
      { KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' },
      (c) => c.kafka.sasl,
      { mechanism: 'scram-sha-512', username: 'u', password: 'p' },
    ],
  ]
  it.each(valid)('such as %j is read', (env, pick, expected) => {
    expect(pick(configOf(env))).toEqual(expected)
  })
})

describe('an invalid value', () => {
  const invalid: [string, string][] = [
    ['KAFKA_BOOTSTRAP_SERVERS', 'PLAINTEXT://kafka:9092'],
    ['KAFKA_BOOTSTRAP_SERVERS', 'kafka:0'],
    ['KAFKA_BOOTSTRAP_SERVERS', 'kafka:70000'],
    ['KAFKA_BOOTSTRAP_SERVERS', ','],
    ['KAFKA_VALIDATED_DATA_TOPIC', 'a topic'],
    ['KAFKA_VALIDATED_DATA_TOPIC', '..'],
    ['KAFKA_CONSUMER_POLL_TIMEOUT_S', '0'],
    ['KAFKA_CONSUMER_POLL_TIMEOUT_S', '1e1'],
    ['KAFKA_CONSUMER_POLL_TIMEOUT_S', '-1'],
    ['KAFKA_COMMIT_INTERVAL_S', '0'],
    ['KAFKA_COMMIT_INTERVAL_S', '61'],
    ['KAFKA_SESSION_TIMEOUT_S', '5'],
    ['KAFKA_SSL', 'maybe'],
    ['KAFKA_SASL_MECHANISM', 'gssapi'],
    ['REDIS_HOST', 'redis:6379'],
    ['REDIS_HOST', 'redis://h'],
    ['REDIS_PORT', 'tcp://10.0.0.1:6379'],
    ['REDIS_PORT', '0'],
    ['REDIS_PORT', '0x10'],
    ['REDIS_DB', '-1'],
    ['REDIS_METADATA_TTL', 'a day'],
    ['REDIS_METADATA_TTL', 'Infinity'],
    ['REDIS_SCRIPT_MAX_KEYS', '1001'],
    ['REDIS_TIMEOUT_S', '0'],
    ['PORT', 'tcp://10.0.0.1:5011'],
    ['API_AUTH', 'basic'],
    ['API_ALLOWED_HOSTS', 'host:80'],
    ['API_CORS_ORIGINS', 'example.org'],
    ['API_CORS_ORIGINS', 'https://example.org/'],
    ['API_TRUSTED_PROXIES', 'nginx'],
    ['API_TRUSTED_PROXIES', 'true'],
    ['API_TRUSTED_PROXIES', '10.0.0.1:80'],
    ['API_TRUSTED_PROXIES', '0.0.0.0/0'],
    ['API_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['API_TRUSTED_PROXIES', 'fe80::1%eth0'],
    ['API_BASE_PATH', 'cache'],
    ['API_BASE_PATH', '//cache'],
    ['API_BASE_PATH', '/a/../b'],
    ['API_BASE_PATH', '/cache?x'],
    ['API_BASE_PATH', 'https://example.org/cache'],
    ['API_MAX_CONCURRENT_REQUESTS', '0'],
    ['CACHE_DEFAULT_TTL', '0'],
    ['QUEUE_CHANNEL', 'a channel'],
    ['UPDATE_VALIDATE', 'perhaps'],
    ['CANARY_INTERVAL_S', '61'],
    ['CANARY_DEVICE_ID', 'sensor-1'],
    ['CANARY_API_URL', 'cache_service:5011'],
    ['CANARY_API_URL', 'http://cache_service:5011?token=x'],
    ['METADATA_EXTRA_FIELDS', 'battery,last_updated'],
    ['METADATA_EXTRA_FIELDS', 'persist'],
    ['METADATA_EXTRA_FIELDS', '*,a'],
    ['METADATA_EXTRA_FIELDS', ','],
    ['LOG_LEVEL', 'loud'],
    ['METRICS_PORT', '65536'],
    ['SHUTDOWN_TIMEOUT_S', '0'],
  ]
  it.each(invalid)(
    'such as %s=%s is rejected, with the description of the option and a fix',
    (variable, value) => {
      const description = options.find(({ name }) => name === variable)?.description
      expect(problemsOf({ [variable]: value })).toEqual([
        {
          variable,
          message: expect.stringContaining(`${JSON.stringify(value)} must `),
          description,
          fix: expect.stringMatching(/./),
        },
      ])
    },
  )

  it.each([
    ['METADATA_EXTRA_FIELDS', '"*"'],
    ['REDIS_UPDATE_CHANNEL', "'update'"],
    ['CACHE_PROTECTED_PREFIXES', '"secret:"'],
    ['KAFKA_CONSUMER_GROUP_ID', '"group"'],
    ['API_TOKENS_FILE', '"/tokens.jsonl"'],
    ['LOG_LEVEL', "''"],
  ])('that is quoted is rejected: %s=%s', (variable, value) => {
    expect(problemsOf({ [variable]: value })).toMatchObject([
      {
        variable,
        message: `begins and ends with a quote: ${value}`,
        fix: expect.stringContaining('Remove the quotes'),
      },
    ])
  })

  it('may contain quotes, or end with another one', () => {
    for (const value of ['a"b', '"a', `"a'`]) {
      expect(parseConfig({ METADATA_EXTRA_FIELDS: value }, noFiles).kind).toBe('ok')
    }
  })

  it('does not hide another one: all are reported at once', () => {
    const env = { REDIS_PORT: 'x', LOG_LEVEL: 'x', KAFKA_SSL: 'x', KAFKA_ERROR_TOPIC: 'iot_validated_data' }
    expect(
      problemsOf(env)
        .map(({ variable }) => variable)
        .sort(),
    ).toEqual(['KAFKA_ERROR_TOPIC', 'KAFKA_SSL', 'LOG_LEVEL', 'REDIS_PORT'])
  })

  it('is no canary device that the worker would reject', () => {
    const problems = problemsOf({ CANARY_DEVICE_ID: `cache_service_canary${'é'.repeat(120)}` })
    expect(problems[0]?.message).toContain('must be a device id')
  })

  it('of an address with a password is not quoted', () => {
    const problems = problemsOf({ CANARY_API_URL: 'http://user:secret@cache_service:5011' })
    expect(problems[0]?.message).toBe('"***@cache_service:5011" must not contain a user name or a password')
  })

  it('that Kubernetes sets for a Service is reported with the fix for the pod spec', () => {
    expect(problemsOf({ REDIS_PORT: 'tcp://10.0.0.1:6379' })[0]?.fix).toContain('enableServiceLinks: false')
    expect(problemsOf({ METRICS_PORT: 'udp://10.0.0.1:1' })[0]?.fix).toContain('enableServiceLinks: false')
  })
})

describe('settings that are invalid together', () => {
  const combinations: [string, Env, RegExp][] = [
    ['KAFKA_ERROR_TOPIC', { KAFKA_ERROR_TOPIC: 't', KAFKA_VALIDATED_DATA_TOPIC: 't' }, /dead letter/],
    ['KAFKA_FETCH_MAX_BYTES', { KAFKA_FETCH_MAX_BYTES: '1024' }, /PER_PARTITION/],
    ['CHUNK_MAX_BYTES', { CHUNK_MAX_BYTES: '1024' }, /MAX_RECORD_BYTES/],
    ['KAFKA_STALL_TIMEOUT_S', { KAFKA_STALL_TIMEOUT_S: '1' }, /POLL_TIMEOUT/],
    ['REDIS_TIMEOUT_S', { REDIS_TIMEOUT_S: '30' }, /SESSION_TIMEOUT/],
    ['KAFKA_SSL_CA_FILE', { KAFKA_SSL_CA_FILE: 'ca' }, /KAFKA_SSL is not true/],
    ['REDIS_TLS_CA_FILE', { REDIS_TLS_CA_FILE: 'ca' }, /REDIS_TLS is not true/],
    ['KAFKA_SSL_KEY_FILE', { KAFKA_SSL: '1', KAFKA_SSL_CERT_FILE: 'ca' }, /KAFKA_SSL_CERT_FILE requires/],
    ['REDIS_TLS_CERT_FILE', { REDIS_TLS: '1', REDIS_TLS_KEY_FILE: 'key' }, /REDIS_TLS_KEY_FILE requires/],
    ['KAFKA_SASL_USERNAME', { KAFKA_SASL_USERNAME: 'u' }, /MECHANISM is not/],
    ['KAFKA_SASL_PASSWORD', { KAFKA_SASL_PASSWORD: 'u' }, /MECHANISM is not/],
    ['KAFKA_SASL_PASSWORD', { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u' }, /requires it/],
    ['REDIS_USERNAME', { REDIS_USERNAME: 'u' }, /REDIS_PASSWORD is not/],
    ['REDIS_URL', { REDIS_URL: 'redis://u@h' }, /without a password/],
    ['CANARY_API_TOKEN', { CANARY_API_TOKEN: 't' }, /no API would be asked/],
    ['API_TOKENS_FILE', { API_AUTH: 'token' }, /requires it/],
    ['API_TOKENS_FILE', { API_TOKENS_FILE: '/run/tokens' }, /callers would not be authenticated/],
    [
      'API_TOKENS_FILE',
      { API_TOKENS_FILE: '/run/tokens', API_AUTH: 'off' },
      /callers would not be authenticated/,
    ],
    ['REDIS_TLS', { REDIS_URL: 'rediss://h', REDIS_TLS: 'false' }, /disagree/],
    ['REDIS_TLS', { REDIS_URL: 'redis://h', REDIS_TLS: 'true' }, /disagree/],
  ]
  it.each(combinations)('are reported for %s, given %j', (variable, env, message) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const readFile = filesOf({ ca: PEM, key })
    expect(problemsOf(env, readFile)).toEqual([
      expect.objectContaining({ variable, message: expect.stringMatching(message) }),
    ])
  })

  it('are not checked while one of them is invalid by itself', () => {
    const problems = problemsOf({ KAFKA_FETCH_MAX_BYTES: '1024', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: 'x' })
    expect(problems.map(({ variable }) => variable)).toEqual(['KAFKA_FETCH_MAX_BYTES_PER_PARTITION'])
  })
})

describe('a secret', () => {
  const secrets = options.filter(({ kind }) => kind === 'secret').map(({ name }) => name)

  it('is one of five options', () => {
    expect(secrets).toEqual([
      ...['KAFKA_SASL_PASSWORD', 'REDIS_PASSWORD', 'REDIS_URL', 'REDIS_SENTINEL_PASSWORD'],
      'CANARY_API_TOKEN',
    ])
  })

  it('may come from a file, whose last newline is dropped', () => {
    const readFile = filesOf({ '/run/secrets/redis': 'hunter2\n', '/run/secrets/url': 'redis://h:1/2\r\n' })
    expect(configOf({ REDIS_PASSWORD_FILE: '/run/secrets/redis' }, readFile).redis.password).toBe('hunter2')
    expect(configOf({ REDIS_URL_FILE: '/run/secrets/url' }, readFile).redis).toMatchObject({
      location: { kind: 'address', host: 'h', port: 1 },
      db: 2,
    })
  })

  it('must not be given both directly and as a file', () => {
    for (const name of secrets) {
      const problems = problemsOf({ [name]: 'hunter2', [`${name}_FILE`]: '/f' }, filesOf({ '/f': 'x' }))
      expect(problems).toEqual([
        expect.objectContaining({ variable: name, message: `and ${name}_FILE are both set` }),
      ])
    }
  })

  it('whose file is missing or empty is reported with the path of the file', () => {
    const missing = problemsOf({ REDIS_PASSWORD_FILE: '/run/nothing' })
    expect(missing).toEqual([
      expect.objectContaining({
        variable: 'REDIS_PASSWORD_FILE',
        message: "names a file that can't be read: /run/nothing (ENOENT)",
      }),
    ])
    const empty = problemsOf({ REDIS_PASSWORD_FILE: '/f' }, filesOf({ '/f': '\n' }))
    expect(empty[0]?.message).toBe('names an empty file: /f')
  })

  it('that is invalid is reported without its value', () => {
    expect(problemsOf({ REDIS_URL: 'hunter2' })[0]?.message).toBe('must begin with redis:// or rediss://')
  })

  it('is never printed, even if it is in the wrong variable', () => {
    const leaky: Env[] = [
      { REDIS_URL: 'redis://user:hunter2@h:99999' },
      { REDIS_URL: 'hunter2' },
      { REDIS_URL: 'redis://:hunter2#@h' },
      { REDIS_URL: 'redis://:hunter2@h', REDIS_PASSWORD: 'hunter2', REDIS_PORT: '1' },
      { REDIS_URL_FILE: '/secret' },
      { REDIS_HOST: 'redis://:hunter2@h' },
      { REDIS_HOST: 'redis://:a/hunter2/b@h' },
      { REDIS_PORT: 'redis://:hunter2@h:6379' },
      { KAFKA_BOOTSTRAP_SERVERS: 'user:hunter2@kafka:9092,kafka:9093' },
      { KAFKA_SASL_PASSWORD: 'hunter2' },
      { KAFKA_SASL_PASSWORD: 'hunter2', KAFKA_SASL_PASSWORD_FILE: '/secret' },
      { KAFKA_SSL: '1', KAFKA_SSL_KEY_FILE: '/secret' },
    ]
    for (const env of leaky) {
      const problems = problemsOf(env, filesOf({ '/secret': 'hunter2' }))
      expect(problems, JSON.stringify(env)).not.toEqual([])
      expect(formatProblems(problems)).not.toContain('hunter2')
    }
  })
})

describe('REDIS_CLUSTER_NODES', () => {
  it('gives some nodes of a Cluster, and where they can be reached', () => {
    const env = {
      REDIS_CLUSTER_NODES: 'a, b:1,[::1]:2',
      REDIS_CLUSTER_NAT_MAP: '10.0.0.1:6379=localhost:7001, [fd00::1]:6379=[::1]:7002',
    }
    expect(configOf(env).redis).toMatchObject({
      db: 0,
      location: {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 6379 },
          { host: 'b', port: 1 },
          { host: '::1', port: 2 },
        ],
        natMap: {
          '10.0.0.1:6379': { host: 'localhost', port: 7001 },
          'fd00::1:6379': { host: '::1', port: 7002 },
        },
      },
    })
  })

  it.each<[Env, string[]]>([
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_HOST: 'h' }, ['REDIS_HOST']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_PORT: '1' }, ['REDIS_PORT']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_URL: 'redis://h' }, ['REDIS_URL']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_SENTINELS: 's', REDIS_SENTINEL_NAME: 'm' }, ['REDIS_SENTINELS']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_DB: '1' }, ['REDIS_DB']],
    [{ REDIS_CLUSTER_NODES: 'a:99999' }, ['REDIS_CLUSTER_NODES']],
    [{ REDIS_CLUSTER_NAT_MAP: 'a:1=b:2' }, ['REDIS_CLUSTER_NAT_MAP']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_CLUSTER_NAT_MAP: 'a:1' }, ['REDIS_CLUSTER_NAT_MAP']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_CLUSTER_NAT_MAP: 'a=b:1' }, ['REDIS_CLUSTER_NAT_MAP']],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_CLUSTER_NAT_MAP: 'a:1=b:1=c:1' }, ['REDIS_CLUSTER_NAT_MAP']],
  ])('%o names what contradicts it', (env, variables) => {
    expect(problemsOf(env).map(({ variable }) => variable)).toEqual(variables)
  })
})

describe('REDIS_SENTINELS', () => {
  it('gives the Sentinels, the name of the primary, and a login of their own', () => {
    const env = {
      REDIS_SENTINELS: 'a, b:1,[::1]:2',
      REDIS_SENTINEL_NAME: 'mymaster',
      REDIS_SENTINEL_USERNAME: 'u',
      REDIS_SENTINEL_PASSWORD: 'p',
      REDIS_PASSWORD: 'other',
    }
    expect(configOf(env).redis).toMatchObject({
      password: 'other',
      location: {
        kind: 'sentinels',
        sentinels: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 1 },
          { host: '::1', port: 2 },
        ],
        name: 'mymaster',
        username: 'u',
        password: 'p',
        tls: undefined,
      },
    })
  })

  it.each<[Env, string[]]>([
    [{ REDIS_SENTINELS: 'a' }, ['REDIS_SENTINEL_NAME']],
    [{ REDIS_SENTINELS: 'a', REDIS_SENTINEL_NAME: 'm', REDIS_HOST: 'h' }, ['REDIS_HOST']],
    [{ REDIS_SENTINELS: 'a', REDIS_SENTINEL_NAME: 'm', REDIS_URL: 'redis://h' }, ['REDIS_URL']],
    [{ REDIS_SENTINEL_NAME: 'm' }, ['REDIS_SENTINEL_NAME']],
    [{ REDIS_SENTINEL_PASSWORD: 'p' }, ['REDIS_SENTINEL_PASSWORD']],
    [
      { REDIS_SENTINELS: 'a', REDIS_SENTINEL_NAME: 'm', REDIS_SENTINEL_USERNAME: 'u' },
      ['REDIS_SENTINEL_USERNAME'],
    ],
    [{ REDIS_SENTINELS: 'a:99999', REDIS_SENTINEL_NAME: 'm' }, ['REDIS_SENTINELS']],
  ])('%o names what contradicts it', (env, variables) => {
    expect(problemsOf(env).map(({ variable }) => variable)).toEqual(variables)
  })
})

describe('REDIS_URL', () => {
  it('gives host, port, database, user and password', () => {
    expect(configOf({ REDIS_URL: 'redis://us%40er:p%2F%23%25@cache.example:6380/7' }).redis).toMatchObject({
      location: { kind: 'address', host: 'cache.example', port: 6380 },
      db: 7,
      username: 'us@er',
      password: 'p/#%',
      tls: undefined,
    })
  })

  it('defaults to port 6379, database 0 and no login', () => {
    const location = { kind: 'address', host: 'h', port: 6379 }
    const plain = { location, db: 0, username: undefined, password: undefined, tls: undefined }
    expect(configOf({ REDIS_URL: 'redis://h' }).redis).toMatchObject(plain)
    expect(configOf({ REDIS_URL: 'redis://h/' }).redis).toMatchObject(plain)
  })

  it('enables TLS as rediss://, with the certificates of the REDIS_TLS_ options', () => {
    const env = { REDIS_URL: 'rediss://:p@[::1]', REDIS_TLS_CA_FILE: 'ca' }
    expect(configOf(env, filesOf({ ca: PEM })).redis).toMatchObject({
      location: { kind: 'address', host: '::1', port: 6379 },
      password: 'p',
      tls: { ca: PEM.trimEnd(), rejectUnauthorized: true },
    })
  })

  it.each([
    'http://h',
    'h:6379',
    'redis://',
    'redis://h/a',
    'redis://h:0',
    'redis://h?db=1',
    'redis://%zz@h',
    'redis://a b',
  ])('is rejected as %s', (url) => {
    expect(problemsOf({ REDIS_URL: url })).toEqual([expect.objectContaining({ variable: 'REDIS_URL' })])
  })

  it('conflicts with every variable that it replaces', () => {
    const parts = {
      REDIS_HOST: 'h',
      REDIS_PORT: '1',
      REDIS_DB: '1',
      REDIS_USERNAME: 'u',
      REDIS_PASSWORD: 'p',
    }
    const problems = problemsOf({ REDIS_URL: 'redis://h', ...parts })
    expect(problems.map(({ variable }) => variable)).toEqual(Object.keys(parts))
    expect(problems.every(({ message }) => message.includes('REDIS_URL'))).toBe(true)
  })
})

describe('a file of a certificate or a key', () => {
  let folder: string
  let files: Record<string, string>
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'test-config-'))
    const { ca, clientCertificate, clientKey, serverKeyPath } = await createTlsFiles(folder)
    const encrypted = createPrivateKey(clientKey).export({
      ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    })
    files = {
      ...{ ca, cert: clientCertificate, key: clientKey, foreign: readFileSync(serverKeyPath, 'utf8') },
      ...{ chain: `# a comment\n${clientCertificate}${ca}`, encrypted: String(encrypted), other: 'hello' },
      legacy:
        '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----',
      damaged: ca.replace(/(?<=BEGIN CERTIFICATE-----\n).{20}/, ''),
      damagedKey: clientKey.replace(/(?<=PRIVATE KEY-----\n).{20}/, ''),
    }
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  describe.each(['KAFKA_SSL', 'REDIS_TLS'])('of %s', (name) => {
    const set = (settings: Record<string, string>) => {
      const named = Object.entries(settings).map(([part, file]) => [`${name}_${part}_FILE`, file])
      return { [name]: 'true', ...Object.fromEntries(named) }
    }

    it.each([{ CA: 'ca' }, { CA: 'chain' }, { CERT: 'cert', KEY: 'key' }, { CERT: 'chain', KEY: 'key' }])(
      'is accepted as %j',
      (settings) => {
        expect(problemsOf(set(settings), filesOf(files))).toEqual([])
      },
    )

    it.each([
      ['CA', { CA: 'other' }, /must name a PEM file with a certificate/],
      ['CA', { CA: 'key' }, /must name a PEM file with a certificate/],
      ['CA', { CA: 'damaged' }, /number 1 in it is damaged/],
      ['CA', { CA: 'gone' }, /can't be read: gone \(ENOENT\)/],
      ['CERT', { CERT: 'key', KEY: 'key' }, /must name a PEM file with a certificate/],
      ['KEY', { CERT: 'cert', KEY: 'cert' }, /must name a PEM file with a private key/],
      ['KEY', { CERT: 'cert', KEY: 'damagedKey' }, /damaged/],
      ['KEY', { CERT: 'cert', KEY: 'encrypted' }, /without a passphrase; decrypt it with: openssl pkey/],
      ['KEY', { CERT: 'cert', KEY: 'legacy' }, /without a passphrase; decrypt it with: openssl pkey/],
      ['KEY', { CERT: 'cert', KEY: 'foreign' }, /does not belong to the first certificate/],
      ['KEY', { CERT: 'ca', KEY: 'key' }, /does not belong to the first certificate/],
    ])('is refused for %s, given %j', (part, settings, message) => {
      const problems = problemsOf(set(settings), filesOf(files))
      expect(problems).toEqual([
        expect.objectContaining({
          variable: `${name}_${part}_FILE`,
          message: expect.stringMatching(message),
        }),
      ])
      expect(JSON.stringify(problems)).not.toContain('BEGIN')
    })
  })

  it('that is a directory, or may not be read, has its own fix', () => {
    const failing = (code: string) => () => {
      throw Object.assign(new Error(code), { code })
    }
    const fixOf = (code: string) => problemsOf({ REDIS_PASSWORD_FILE: '/f' }, failing(code))[0]?.fix
    expect(fixOf('EISDIR')).toContain('not a directory')
    expect(fixOf('EACCES')).toContain('read the file')
    expect(fixOf('ENOENT')).toContain('path')
  })
})

describe('warnings', () => {
  it.each([
    ['KAFKA_BOOTSTRAP_SERVER', 'KAFKA_BOOTSTRAP_SERVERS'],
    ['REDIS_PASWORD_FILE', 'REDIS_PASSWORD_FILE'],
    ['METADATA_EXTRA_FIELD', 'METADATA_EXTRA_FIELDS'],
    ['METRICS_PROT', 'METRICS_PORT'],
    ['KAKFA_SSL', 'KAFKA_SSL'],
  ])('for %s suggest %s', (variable, option) => {
    expect(warningsOf({ [variable]: 'x' })).toEqual([`${variable} is not an option; did you mean ${option}?`])
  })

  it('about a misspelled variable come with the problems of others', () => {
    expect(parseConfig({ KAFKA_BOOTSTRAP_SERVER: 'x', REDIS_PORT: '63x9' }, noFiles)).toMatchObject({
      kind: 'invalid',
      problems: [{ variable: 'REDIS_PORT' }],
      warnings: ['KAFKA_BOOTSTRAP_SERVER is not an option; did you mean KAFKA_BOOTSTRAP_SERVERS?'],
    })
  })

  it('ignore variables that do not resemble an option', () => {
    const others = { REDIS_PORT_6379_TCP: 'x', REDIS_SERVICE_HOST: 'x', KAFKA_HEAP_OPTS: 'x', LOGNAME: 'x' }
    expect(warningsOf(others)).toEqual([])
  })

  it.each([
    ['"secret"', 'quote'],
    ["'secret'", 'quote'],
    ['secret\r', 'white space'],
    ['secret\n', 'white space'],
    [' secret', 'white space'],
    ['\ufeffsecret', 'byte order mark'],
  ])('name a secret that was probably changed on its way, without quoting it: %j', (secret, what) => {
    const [warning = '', ...others] = warningsOf({ REDIS_PASSWORD: secret })
    expect(others).toEqual([])
    expect(warning).toMatch(new RegExp(`^REDIS_PASSWORD .*${what}`))
    expect(warning).not.toContain('secret')
  })

  it('name settings that are allowed but insecure', () => {
    const env = {
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: 'p',
      REDIS_URL: 'rediss://h',
      REDIS_TLS_REJECT_UNAUTHORIZED: 'false',
    }
    expect(warningsOf(env)).toEqual([
      expect.stringContaining('REDIS_TLS_REJECT_UNAUTHORIZED=false'),
      expect.stringContaining('sent unencrypted'),
    ])
    expect(warningsOf({ KAFKA_SSL: '1', KAFKA_SSL_REJECT_UNAUTHORIZED: '0' })).toEqual([
      expect.stringContaining('KAFKA_SSL_REJECT_UNAUTHORIZED=false'),
    ])
  })
})

describe('the text of the problems', () => {
  it('gives, for each variable, what is wrong, its description and a fix', () => {
    expect(formatProblems(problemsOf({ REDIS_PORT: 'x' }))).toBe(
      [
        '1 setting is invalid:',
        '',
        'REDIS_PORT "x" must be a whole number from 1 to 65535',
        '  Description: Port of Redis.',
        '  Fix: Correct it, or unset it to use the default (6379).',
      ].join('\n'),
    )
  })

  it('keeps each message short and on one line, whatever the value', () => {
    const [problem] = problemsOf({ LOG_LEVEL: `\n\u001b[31m${'x'.repeat(5000)}` })
    expect(problem?.message).not.toMatch(/[\n\u001b]/)
    expect(problem?.message.length).toBeLessThan(300)
  })
})

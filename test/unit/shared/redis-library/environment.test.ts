import * as fc from 'fast-check'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfig } from '../../../../cache-service/config/config.ts'
import { RedisSettingsError } from '../../../../shared/redis-library/errors.ts'
import { redisSettingsFrom } from '../../../../shared/redis-library/environment.ts'
import { createTlsFiles } from '../../../support/servers/tls-certificates.ts'

// The Redis library and the service read the same variables: what one accepts, the other accepts, with the same meaning.

type Environment = Readonly<Record<string, string | undefined>>

let folder: string
let files: Record<string, string>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'test-environment-'))
  const tls = await createTlsFiles(folder)
  const texts = {
    certificate: tls.clientCertificate,
    key: tls.clientKey,
    secret: 'secret\n',
    url: 'rediss://me:secret@cache:7000/2\r\n',
    empty: '',
    newline: '\n',
  }
  const written = Object.entries(texts).map(([name, text]) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return [name, path] as const
  })
  files = {
    ...Object.fromEntries(written),
    foreignKey: tls.serverKeyPath,
    absent: join(folder, 'absent'),
    folder,
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What the settings are, or the names of the invalid variables. */
function inLibrary(environment: Environment): unknown {
  try {
    return redisSettingsFrom(environment)
  } catch (error) {
    if (error instanceof RedisSettingsError) return [...error.variables].sort()
    throw error
  }
}

function inService(environment: Environment): unknown {
  // The only rule about Kafka as well.
  const env = { ...environment, KAFKA_SESSION_TIMEOUT_S: '61' }
  const parsed = parseConfig(env, (path) => readFileSync(path, 'utf8'))
  if (parsed.kind === 'invalid') return [...new Set(parsed.problems.map(({ variable }) => variable))].sort()
  const { db, location, password, timeoutMs, tls, username } = parsed.config.redis
  const login = { db, password, timeoutMs, tls, username }
  if (location.kind === 'address') return { host: location.host, port: location.port, ...login }
  if (location.kind === 'cluster') {
    const { db: _, ...clusterLogin } = login
    return { clusterNodes: location.nodes, natMap: location.natMap, ...clusterLogin }
  }
  const { name, sentinels } = location
  const ofSentinels = {
    sentinelUsername: location.username,
    sentinelPassword: location.password,
    sentinelTls: location.tls,
  }
  return { sentinels, name, ...ofSentinels, ...login }
}

const PLAIN: Readonly<Record<string, readonly string[]>> = {
  REDIS_HOST: ['cache', ' cache ', '::1', 'a:1', 'a:b:c', '"cache"', 'é', '"', ' '],
  REDIS_PORT: ['7000', ' 7000\n', '0', '65536', '007000', '1e3', '+1', "'7000'", 'tcp://10.0.0.1:6379'],
  REDIS_DB: ['3', ' 3 ', '9999', '10000', '-1', '0x1', '1.0'],
  REDIS_USERNAME: ['me', ' me ', 'a b', '"me"', 'a\0b'],
  REDIS_PASSWORD: ['secret', ' secret ', '"secret"', 'a\0b', ' ', 'p:/@'],
  REDIS_URL: [
    ...[
      'redis://cache',
      'rediss://me:p%2F%40@cache:7000/3',
      'REDISS://cache',
      'redis://me@cache',
      'redis://:p@cache',
    ],
    ...[
      'redis://[::1]:1/',
      'redis://cache?db=1',
      'redis://cache#x',
      'redis://cache/x',
      'redis://cache:0',
      'redis://%zz@c',
    ],
    ...[
      'http://cache',
      'redis://',
      'redis:cache',
      ' redis://cache ',
      '"redis://cache"',
      'redis://cache/00001',
    ],
  ],
  REDIS_TLS: ['true', 'TRUE', ' yes ', '1', 'false', 'no', '0', 'on', 'off', '"true"'],
  REDIS_TLS_REJECT_UNAUTHORIZED: ['false', ' No ', 'true', 'off'],
  REDIS_SENTINELS: ['a', ' a:1 , [::1]:26380,', 'a:0', 'a:b', '[::1]', ',', '"a"', 'a b'],
  REDIS_SENTINEL_NAME: ['mymaster', ' mymaster ', 'my master', '"x"'],
  REDIS_SENTINEL_USERNAME: ['me', 'a\0b'],
  REDIS_SENTINEL_PASSWORD: ['secret', ' secret ', 'a\0b'],
  REDIS_SENTINEL_TLS: ['true', 'false', 'on'],
  REDIS_CLUSTER_NODES: ['a', ' a:1 , [::1]:7001,', 'a:0', 'a:b', ',', '"a"'],
  REDIS_CLUSTER_NAT_MAP: [
    ...['10.0.0.1:6379=localhost:7001', ' a:1=b:2 , [::1]:3=[::2]:4,', 'a:1=b:2,a:1=c:3', 'a:1=b:2,c:3=b:2'],
    ...['a=b', 'a:1', 'a:1=b', 'a:1=b:2=c:3', 'a:1=b:0', 'a:1,b:2', '=', ',', '"a:1=b:2"', 'a:1 = b:2'],
  ],
  REDIS_TIMEOUT_S: ['0.1', ' 1.5 ', '60', '60.1', '0', '1e1', '.5', '0.0999', '2.0005', '5s'],
}
/** What each of these variables needs to be valid. */
const COMPLETED: Readonly<Record<string, Environment>> = {
  REDIS_USERNAME: { REDIS_PASSWORD: 'p' },
  REDIS_SENTINELS: { REDIS_SENTINEL_NAME: 'mymaster' },
  REDIS_SENTINEL_NAME: { REDIS_SENTINELS: 'a' },
  REDIS_SENTINEL_USERNAME: {
    REDIS_SENTINELS: 'a',
    REDIS_SENTINEL_NAME: 'mymaster',
    REDIS_SENTINEL_PASSWORD: 'p',
  },
  REDIS_SENTINEL_PASSWORD: { REDIS_SENTINELS: 'a', REDIS_SENTINEL_NAME: 'mymaster' },
  REDIS_SENTINEL_TLS: { REDIS_SENTINELS: 'a', REDIS_SENTINEL_NAME: 'mymaster' },
  REDIS_CLUSTER_NAT_MAP: { REDIS_CLUSTER_NODES: 'a' },
}
const FILES = [
  ...['REDIS_PASSWORD_FILE', 'REDIS_URL_FILE', 'REDIS_SENTINEL_PASSWORD_FILE'],
  ...['REDIS_TLS_CA_FILE', 'REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'],
]

test('the library reads an environment as the service does', { timeout: 60_000 }, () => {
  const paths = Object.values(files).flatMap((path) => [path, ` ${path} `, `"${path}"`])
  const values = {
    ...PLAIN,
    ...Object.fromEntries(FILES.map((name) => [name, paths])),
  }
  const environments = fc.record(
    Object.fromEntries(
      Object.entries(values).map(([name, texts]) => [name, fc.constantFrom('', ...texts)] as const),
    ),
    { requiredKeys: [] },
  )
  // Few variables at a time, so that many environments are valid.
  const some = fc
    .tuple(environments, fc.subarray(Object.keys(values), { maxLength: 5 }), fc.boolean())
    .map(([all, names, isComplete]) => ({
      ...(isComplete ? COMPLETED[names[0] ?? ''] : {}),
      ...Object.fromEntries(names.map((name) => [name, all[name]])),
    }))
  fc.assert(
    fc.property(some, (environment) => {
      expect(inLibrary(environment)).toEqual(inService(environment))
    }),
    { numRuns: 500 },
  )
})

test('each value of each variable is read as the service reads it', () => {
  for (const [name, texts] of Object.entries(PLAIN)) {
    for (const text of texts) {
      const environment = { ...COMPLETED[name], [name]: text }
      expect([environment, inLibrary(environment)]).toEqual([environment, inService(environment)])
    }
  }
  const { certificate = '', foreignKey = '', key = '' } = files
  for (const keyPath of [key, foreignKey, certificate]) {
    const environment = { REDIS_TLS: 'true', REDIS_TLS_CERT_FILE: certificate, REDIS_TLS_KEY_FILE: keyPath }
    expect(inLibrary(environment)).toEqual(inService(environment))
  }
})

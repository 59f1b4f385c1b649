import { isKeyOf } from '../../shared/pem.ts'
import type { OptionName, OptionValues } from './options.ts'

// Settings that are valid on their own but not together.

export type Check = Readonly<{
  /** The problem is reported for the first one. The check is skipped while one of them is invalid by itself. */
  variables: readonly [OptionName, ...OptionName[]]
  isBroken: (values: OptionValues, isSet: (name: OptionName) => boolean) => boolean
  message: string
  fix: string
}>

const replacedByUrl = ['REDIS_HOST', 'REDIS_PORT', 'REDIS_DB', 'REDIS_USERNAME', 'REDIS_PASSWORD'] as const

const replacedBySentinels = ['REDIS_HOST', 'REDIS_PORT', 'REDIS_URL'] as const
const replacedByCluster = ['REDIS_HOST', 'REDIS_PORT', 'REDIS_URL', 'REDIS_SENTINELS'] as const
const ofSentinels = [
  'REDIS_SENTINEL_NAME',
  'REDIS_SENTINEL_USERNAME',
  'REDIS_SENTINEL_PASSWORD',
  'REDIS_SENTINEL_TLS',
] as const

const kafkaTlsFiles = ['KAFKA_SSL_CA_FILE', 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'] as const
const redisTlsFiles = ['REDIS_TLS_CA_FILE', 'REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'] as const

export const checks: readonly Check[] = [
  {
    variables: ['KAFKA_ERROR_TOPIC', 'KAFKA_VALIDATED_DATA_TOPIC'],
    isBroken: (values) => values.KAFKA_ERROR_TOPIC === values.KAFKA_VALIDATED_DATA_TOPIC,
    message: 'is the same topic as KAFKA_VALIDATED_DATA_TOPIC: the worker would read its own dead letters',
    fix: 'Choose another topic.',
  },
  {
    variables: ['KAFKA_FETCH_MAX_BYTES', 'KAFKA_FETCH_MAX_BYTES_PER_PARTITION'],
    isBroken: (values) => values.KAFKA_FETCH_MAX_BYTES < values.KAFKA_FETCH_MAX_BYTES_PER_PARTITION,
    message: 'is less than KAFKA_FETCH_MAX_BYTES_PER_PARTITION',
    fix: 'Raise it, or lower KAFKA_FETCH_MAX_BYTES_PER_PARTITION.',
  },
  {
    variables: ['CHUNK_MAX_BYTES', 'MAX_RECORD_BYTES'],
    isBroken: (values) => values.CHUNK_MAX_BYTES < values.MAX_RECORD_BYTES,
    message: 'is less than MAX_RECORD_BYTES: the largest record would not fit into a chunk',
    fix: 'Raise it, or lower MAX_RECORD_BYTES.',
  },
  {
    variables: ['KAFKA_STALL_TIMEOUT_S', 'KAFKA_CONSUMER_POLL_TIMEOUT_S'],
    isBroken: (values) => values.KAFKA_STALL_TIMEOUT_S < 2 * values.KAFKA_CONSUMER_POLL_TIMEOUT_S,
    message:
      'is less than twice KAFKA_CONSUMER_POLL_TIMEOUT_S: an idle topic would look like a stalled consumer',
    fix: 'Raise it, or lower KAFKA_CONSUMER_POLL_TIMEOUT_S.',
  },
  {
    variables: ['KAFKA_CONSUMER_POLL_TIMEOUT_S', 'KAFKA_SESSION_TIMEOUT_S'],
    isBroken: (values) => values.KAFKA_CONSUMER_POLL_TIMEOUT_S > values.KAFKA_SESSION_TIMEOUT_S / 2,
    message:
      'is more than half of KAFKA_SESSION_TIMEOUT_S: an idle worker sends a heartbeat after each fetch, and would lose its partitions',
    fix: 'Lower it, or raise KAFKA_SESSION_TIMEOUT_S.',
  },
  {
    variables: ['REDIS_TIMEOUT_S', 'KAFKA_SESSION_TIMEOUT_S'],
    isBroken: (values) => values.REDIS_TIMEOUT_S >= values.KAFKA_SESSION_TIMEOUT_S,
    message: 'is not less than KAFKA_SESSION_TIMEOUT_S: one slow write would cost the worker its partitions',
    fix: 'Lower it, or raise KAFKA_SESSION_TIMEOUT_S.',
  },

  ...areOnePair('KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'),
  ...areOnePair('REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'),
  ...kafkaTlsFiles.map((file): Check => ({
    variables: [file, 'KAFKA_SSL'],
    isBroken: (values, isSet) => isSet(file) && !values.KAFKA_SSL,
    message: 'is set, but KAFKA_SSL is not true: the connection would not be encrypted',
    fix: `Set KAFKA_SSL=true, or unset ${file}.`,
  })),
  ...redisTlsFiles.map((file): Check => ({
    variables: [file, 'REDIS_TLS', 'REDIS_URL', 'REDIS_SENTINEL_TLS'],
    isBroken: (values, isSet) =>
      isSet(file) && !(values.REDIS_TLS || values.REDIS_URL?.tls || values.REDIS_SENTINEL_TLS),
    message: 'is set, but REDIS_TLS is not true: the connection would not be encrypted',
    fix: `Set REDIS_TLS=true (with REDIS_URL, write rediss://), or unset ${file}.`,
  })),

  ...(['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const).flatMap((credential): readonly Check[] => [
    {
      variables: [credential, 'KAFKA_SASL_MECHANISM'],
      isBroken: (_, isSet) => isSet('KAFKA_SASL_MECHANISM') && !isSet(credential),
      message: 'is not set, but KAFKA_SASL_MECHANISM requires it',
      fix: 'Set it, or unset KAFKA_SASL_MECHANISM.',
    },
    {
      variables: [credential, 'KAFKA_SASL_MECHANISM'],
      isBroken: (_, isSet) => isSet(credential) && !isSet('KAFKA_SASL_MECHANISM'),
      message: 'is set, but KAFKA_SASL_MECHANISM is not: the connection would not be authenticated',
      fix: `Set KAFKA_SASL_MECHANISM (plain, scram-sha-256 or scram-sha-512), or unset ${credential}.`,
    },
  ]),

  {
    variables: ['REDIS_USERNAME', 'REDIS_PASSWORD'],
    isBroken: (_, isSet) => isSet('REDIS_USERNAME') && !isSet('REDIS_PASSWORD') && !isSet('REDIS_URL'),
    message: 'is set, but REDIS_PASSWORD is not: the connection would not be authenticated',
    fix: 'Set REDIS_PASSWORD, or unset REDIS_USERNAME.',
  },
  {
    variables: ['REDIS_URL'],
    isBroken: (values) => values.REDIS_URL?.username !== undefined && values.REDIS_URL.password === undefined,
    message: 'names a user without a password: the connection would not be authenticated',
    fix: 'Write it as redis://user:password@host.',
  },
  ...replacedByUrl.map((part): Check => ({
    variables: [part, 'REDIS_URL'],
    isBroken: (_, isSet) => isSet(part) && isSet('REDIS_URL'),
    message: 'and REDIS_URL are both set, and REDIS_URL replaces it',
    fix: 'Unset one of them.',
  })),
  {
    variables: ['REDIS_TLS', 'REDIS_URL'],
    isBroken: (values, isSet) =>
      isSet('REDIS_TLS') && values.REDIS_URL !== undefined && values.REDIS_URL.tls !== values.REDIS_TLS,
    message: 'and REDIS_URL disagree: redis:// means no TLS, rediss:// means TLS',
    fix: 'Unset REDIS_TLS and choose by the scheme of REDIS_URL.',
  },

  ...replacedBySentinels.map((part): Check => ({
    variables: [part, 'REDIS_SENTINELS'],
    isBroken: (_, isSet) => isSet(part) && isSet('REDIS_SENTINELS'),
    message: 'and REDIS_SENTINELS are both set, and the Sentinels name the server',
    fix: 'Unset one of them.',
  })),
  ...replacedByCluster.map((part): Check => ({
    variables: [part, 'REDIS_CLUSTER_NODES'],
    isBroken: (_, isSet) => isSet(part) && isSet('REDIS_CLUSTER_NODES'),
    message: 'and REDIS_CLUSTER_NODES are both set, and only one of them can say where Redis is',
    fix: 'Unset one of them.',
  })),
  {
    variables: ['REDIS_DB', 'REDIS_CLUSTER_NODES'],
    isBroken: (values) => values.REDIS_CLUSTER_NODES !== undefined && values.REDIS_DB !== 0,
    message: 'is not 0, and a Redis Cluster has only database 0',
    fix: 'Unset REDIS_DB.',
  },
  {
    variables: ['REDIS_CLUSTER_NAT_MAP', 'REDIS_CLUSTER_NODES'],
    isBroken: (_, isSet) => isSet('REDIS_CLUSTER_NAT_MAP') && !isSet('REDIS_CLUSTER_NODES'),
    message: 'is set, but REDIS_CLUSTER_NODES is not: there are no nodes to map',
    fix: 'Set REDIS_CLUSTER_NODES, or unset REDIS_CLUSTER_NAT_MAP.',
  },
  {
    variables: ['REDIS_SENTINEL_NAME', 'REDIS_SENTINELS'],
    isBroken: (_, isSet) => isSet('REDIS_SENTINELS') && !isSet('REDIS_SENTINEL_NAME'),
    message: 'is not set, but REDIS_SENTINELS requires it',
    fix: 'Set it to the name in `sentinel monitor <name> …`, such as mymaster.',
  },
  ...ofSentinels.map((part): Check => ({
    variables: [part, 'REDIS_SENTINELS'],
    isBroken: (_, isSet) => isSet(part) && !isSet('REDIS_SENTINELS'),
    message: 'is set, but REDIS_SENTINELS is not: no Sentinel would be asked',
    fix: `Set REDIS_SENTINELS, or unset ${part}.`,
  })),
  {
    variables: ['REDIS_SENTINEL_USERNAME', 'REDIS_SENTINEL_PASSWORD'],
    isBroken: (_, isSet) => isSet('REDIS_SENTINEL_USERNAME') && !isSet('REDIS_SENTINEL_PASSWORD'),
    message:
      'is set, but REDIS_SENTINEL_PASSWORD is not: the Sentinels would not authenticate the connection',
    fix: 'Set REDIS_SENTINEL_PASSWORD, or unset REDIS_SENTINEL_USERNAME.',
  },

  {
    variables: ['CANARY_API_TOKEN', 'CANARY_API_URL'],
    isBroken: (_, isSet) => isSet('CANARY_API_TOKEN') && !isSet('CANARY_API_URL'),
    message: 'is set, but CANARY_API_URL is not: no API would be asked',
    fix: 'Set CANARY_API_URL, or unset CANARY_API_TOKEN.',
  },

  {
    variables: ['API_TOKENS_FILE', 'API_AUTH'],
    isBroken: (values, isSet) => values.API_AUTH === 'token' && !isSet('API_TOKENS_FILE'),
    message: 'is not set, but API_AUTH=token requires it',
    fix: 'Set it to the path of the tokens file, or set API_AUTH=off.',
  },
  {
    variables: ['API_TOKENS_FILE', 'API_AUTH'],
    isBroken: (values, isSet) => values.API_AUTH !== 'token' && isSet('API_TOKENS_FILE'),
    message: 'is set, but API_AUTH is not token: callers would not be authenticated',
    fix: 'Set API_AUTH=token, or unset API_TOKENS_FILE.',
  },
]

type TlsName = 'KAFKA_SSL' | 'REDIS_TLS'

function areOnePair(certificate: `${TlsName}_CERT_FILE`, key: `${TlsName}_KEY_FILE`): readonly Check[] {
  const needs = (absent: OptionName, present: OptionName): Check => ({
    variables: [absent, present],
    isBroken: (_, isSet) => isSet(present) && !isSet(absent),
    message: `is not set, but ${present} requires it`,
    fix: `Set it, or unset ${present}.`,
  })
  const belongs: Check = {
    variables: [key, certificate],
    isBroken: ({ [certificate]: certificates, [key]: privateKey }) =>
      certificates !== undefined && privateKey !== undefined && !isKeyOf(certificates, privateKey),
    message: `names a private key that does not belong to the first certificate in ${certificate}`,
    fix: `Name the key of that certificate, or put the client certificate first in ${certificate}.`,
  }
  return [needs(certificate, key), needs(key, certificate), belongs]
}

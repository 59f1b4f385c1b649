import type { OptionName, OptionValues } from './options.ts'

// What no single variable can tell: settings that are good alone and wrong together.

export type Check = Readonly<{
  /** The first one is blamed; none is checked while one of them is bad in itself. */
  variables: readonly [OptionName, ...OptionName[]]
  isBroken: (values: OptionValues, isSet: (name: OptionName) => boolean) => boolean
  message: string
  fix: string
}>

const replacedByUrl = ['REDIS_HOST', 'REDIS_PORT', 'REDIS_DB', 'REDIS_USERNAME', 'REDIS_PASSWORD'] as const

const kafkaTlsFiles = ['KAFKA_SSL_CA_FILE', 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'] as const
const redisTlsFiles = ['REDIS_TLS_CA_FILE', 'REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'] as const

export const checks: readonly Check[] = [
  {
    variables: ['KAFKA_ERROR_TOPIC', 'KAFKA_VALIDATED_DATA_TOPIC'],
    isBroken: (values) => values.KAFKA_ERROR_TOPIC === values.KAFKA_VALIDATED_DATA_TOPIC,
    message: 'is the topic that is read (KAFKA_VALIDATED_DATA_TOPIC): every dead letter would come back',
    fix: 'Name another topic.',
  },
  {
    variables: ['KAFKA_FETCH_MAX_BYTES', 'KAFKA_FETCH_MAX_BYTES_PER_PARTITION'],
    isBroken: (values) => values.KAFKA_FETCH_MAX_BYTES < values.KAFKA_FETCH_MAX_BYTES_PER_PARTITION,
    message: 'is less than KAFKA_FETCH_MAX_BYTES_PER_PARTITION',
    fix: 'Raise it, or lower the other.',
  },
  {
    variables: ['CHUNK_MAX_BYTES', 'MAX_RECORD_BYTES'],
    isBroken: (values) => values.CHUNK_MAX_BYTES < values.MAX_RECORD_BYTES,
    message: 'is less than MAX_RECORD_BYTES: the largest record would fit no chunk',
    fix: 'Raise it, or lower the other.',
  },
  {
    variables: ['KAFKA_STALL_TIMEOUT_S', 'KAFKA_CONSUMER_POLL_TIMEOUT_S'],
    isBroken: (values) => values.KAFKA_STALL_TIMEOUT_S < 2 * values.KAFKA_CONSUMER_POLL_TIMEOUT_S,
    message:
      'is less than two KAFKA_CONSUMER_POLL_TIMEOUT_S: a quiet topic would look like a stalled consumer',
    fix: 'Raise it, or lower the other.',
  },
  {
    variables: ['REDIS_TIMEOUT_S', 'KAFKA_SESSION_TIMEOUT_S'],
    isBroken: (values) => values.REDIS_TIMEOUT_S >= values.KAFKA_SESSION_TIMEOUT_S,
    message: 'is not less than KAFKA_SESSION_TIMEOUT_S: one slow write would cost the worker its partitions',
    fix: 'Lower it, or raise the other.',
  },

  ...needsEachOther('KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'),
  ...needsEachOther('REDIS_TLS_CERT_FILE', 'REDIS_TLS_KEY_FILE'),
  ...kafkaTlsFiles.map((file): Check => ({
    variables: [file, 'KAFKA_SSL'],
    isBroken: (values, isSet) => isSet(file) && !values.KAFKA_SSL,
    message: 'is set, but KAFKA_SSL is not true: the connection would be in the clear',
    fix: 'Set KAFKA_SSL=true, or unset it.',
  })),
  ...redisTlsFiles.map((file): Check => ({
    variables: [file, 'REDIS_TLS', 'REDIS_URL'],
    isBroken: (values, isSet) => isSet(file) && !(values.REDIS_TLS || values.REDIS_URL?.tls),
    message: 'is set, but REDIS_TLS is not true: the connection would be in the clear',
    fix: 'Set REDIS_TLS=true (with REDIS_URL: write rediss://), or unset it.',
  })),

  ...(['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const).flatMap((credential): readonly Check[] => [
    {
      variables: [credential, 'KAFKA_SASL_MECHANISM'],
      isBroken: (_, isSet) => isSet('KAFKA_SASL_MECHANISM') && !isSet(credential),
      message: 'is not set, and KAFKA_SASL_MECHANISM needs it',
      fix: 'Set it, or unset KAFKA_SASL_MECHANISM.',
    },
    {
      variables: [credential, 'KAFKA_SASL_MECHANISM'],
      isBroken: (_, isSet) => isSet(credential) && !isSet('KAFKA_SASL_MECHANISM'),
      message: 'is set, but KAFKA_SASL_MECHANISM is not: nothing would log in',
      fix: 'Set KAFKA_SASL_MECHANISM (plain, scram-sha-256 or scram-sha-512), or unset it.',
    },
  ]),

  {
    variables: ['REDIS_USERNAME', 'REDIS_PASSWORD'],
    isBroken: (_, isSet) => isSet('REDIS_USERNAME') && !isSet('REDIS_PASSWORD') && !isSet('REDIS_URL'),
    message: 'is set, but REDIS_PASSWORD is not: nothing would log in',
    fix: 'Set REDIS_PASSWORD, or unset it.',
  },
  {
    variables: ['REDIS_URL'],
    isBroken: (values) => values.REDIS_URL?.username !== undefined && values.REDIS_URL.password === undefined,
    message: 'names a user without a password: nothing would log in',
    fix: 'Write redis://user:password@host.',
  },
  ...replacedByUrl.map((part): Check => ({
    variables: [part, 'REDIS_URL'],
    isBroken: (_, isSet) => isSet(part) && isSet('REDIS_URL'),
    message: 'and REDIS_URL are both set, and REDIS_URL already says it',
    fix: 'Unset one of them.',
  })),
  {
    variables: ['REDIS_TLS', 'REDIS_URL'],
    isBroken: (values, isSet) =>
      isSet('REDIS_TLS') && values.REDIS_URL !== undefined && values.REDIS_URL.tls !== values.REDIS_TLS,
    message: 'and REDIS_URL disagree: redis:// is without TLS, rediss:// with it',
    fix: 'Change the URL, and unset REDIS_TLS.',
  },

  {
    variables: ['API_TOKENS_FILE', 'API_AUTH'],
    isBroken: (values, isSet) => values.API_AUTH === 'token' && !isSet('API_TOKENS_FILE'),
    message: 'is not set, and API_AUTH=token needs it',
    fix: 'Name the file with the tokens, or set API_AUTH=off.',
  },
  {
    variables: ['API_TOKENS_FILE', 'API_AUTH'],
    isBroken: (values, isSet) => values.API_AUTH !== 'token' && isSet('API_TOKENS_FILE'),
    message: 'is set, but API_AUTH is not token: nobody would be asked for one',
    fix: 'Set API_AUTH=token, or unset it.',
  },
]

function needsEachOther(one: OptionName, other: OptionName): readonly Check[] {
  const needs = (absent: OptionName, present: OptionName): Check => ({
    variables: [absent, present],
    isBroken: (_, isSet) => isSet(present) && !isSet(absent),
    message: `is not set, and ${present} needs it`,
    fix: `Set it, or unset ${present}.`,
  })
  return [needs(one, other), needs(other, one)]
}

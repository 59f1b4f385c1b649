import type {
  KafkaErrorCode,
  KafkaOperatorCode,
  RedisErrorCode,
  RedisOperatorCode,
  ServiceError,
} from '../../shared/errors.ts'

export type OperatorHint = {
  /** A predicate whose subject is the server, such as "rejects the credentials". */
  readonly problem: string
  /** An instruction that names the settings, without a period at the end. */
  readonly fix: string
}

/** Every code that only an operator can fix has a hint, and any other code may have one. */
type Hints<Code extends string, OperatorCode extends Code> = Readonly<
  Record<OperatorCode, OperatorHint> & Partial<Record<Code, OperatorHint>>
>

const REDIS_UNREACHABLE: OperatorHint = {
  problem: "can't be reached",
  fix: 'check REDIS_HOST and REDIS_PORT, or REDIS_URL',
}
const REDIS_CREDENTIALS: OperatorHint = {
  problem: 'rejects the credentials',
  fix: 'check REDIS_USERNAME and REDIS_PASSWORD, or REDIS_URL',
}
const REDIS_NOT_READY: OperatorHint = { problem: 'is not ready', fix: 'try again' }

const REDIS_HINTS: Hints<RedisErrorCode, RedisOperatorCode> = {
  DENIED: {
    problem: 'is in protected mode, which allows only clients on its own machine',
    fix: 'set a password on the server and in REDIS_PASSWORD (or REDIS_URL)',
  },
  NOAUTH: REDIS_CREDENTIALS,
  WRONGPASS: REDIS_CREDENTIALS,
  NOPERM: {
    problem: 'denies a permission that is needed',
    fix: 'grant the user REDIS_USERNAME the permissions in docs/configuration.md',
  },
  UNKNOWN_COMMAND: {
    problem: 'does not have a command that is needed',
    fix: 'use Redis 7 or newer, or Valkey',
  },
  CONNECTION: REDIS_UNREACHABLE,
  TIMEOUT: REDIS_UNREACHABLE,
  MAXCLIENTS: { problem: 'accepts no more connections', fix: 'raise maxclients, or close other connections' },
  LOADING: REDIS_NOT_READY,
  MASTERDOWN: REDIS_NOT_READY,
  CLUSTERDOWN: REDIS_NOT_READY,
}

const KAFKA_UNREACHABLE: OperatorHint = {
  problem: "can't be reached",
  fix: 'check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SSL',
}

const KAFKA_HINTS: Hints<KafkaErrorCode, KafkaOperatorCode> = {
  SASL: {
    problem: 'rejects the credentials',
    fix: 'check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD',
  },
  NOT_AUTHORIZED: {
    problem: 'denies access to a topic or a consumer group',
    fix: 'add the ACLs for KAFKA_VALIDATED_DATA_TOPIC, KAFKA_ERROR_TOPIC and KAFKA_CONSUMER_GROUP_ID',
  },
  CONNECTION: KAFKA_UNREACHABLE,
  TIMEOUT: KAFKA_UNREACHABLE,
  TOPIC_MISSING: {
    problem: 'has no such topic',
    fix: 'check KAFKA_VALIDATED_DATA_TOPIC and KAFKA_ERROR_TOPIC',
  },
}

/** undefined: the code does not tell what to do, but the message of the error may. */
export function hintFor({ code, side }: ServiceError): OperatorHint | undefined {
  const hints: Partial<Record<ServiceError['code'], OperatorHint>> =
    side === 'redis' ? REDIS_HINTS : side === 'kafka' ? KAFKA_HINTS : {}
  return hints[code]
}

/** One line that says what is wrong and which settings to check. */
export function operatorHint(error: ServiceError): string {
  const hint = hintFor(error)
  if (hint === undefined) return `${error.side}: ${error.message}`
  return `${error.side === 'redis' ? 'Redis' : 'Kafka'} ${hint.problem}: ${hint.fix}`
}

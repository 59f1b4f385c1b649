import type {
  KafkaErrorCode,
  KafkaOperatorCode,
  RedisErrorCode,
  RedisOperatorCode,
  ServiceError,
} from '../../shared/errors.ts'
import { MISTYPED_FIX } from './fixed-keys.ts'

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
  fix: 'check REDIS_TLS, and REDIS_HOST and REDIS_PORT, or the setting that replaces them: REDIS_URL, REDIS_SENTINELS or REDIS_CLUSTER_NODES',
}
const REDIS_NOT_READY: OperatorHint = { problem: 'is not ready', fix: 'try again' }
export const CLUSTER_FIX =
  'set REDIS_CLUSTER_NODES to some nodes of the Cluster, instead of REDIS_HOST, REDIS_URL or REDIS_SENTINELS'
const REDIS_CLUSTER: OperatorHint = { problem: 'is a node of a Cluster', fix: CLUSTER_FIX }
const CLUSTER_DOWN: OperatorHint = {
  problem: 'is a Cluster that does not serve all slots now',
  fix: 'check `redis-cli --cluster check` for a master that failed without a replica to take its place, and for slots without an owner',
}

const REDIS_HINTS: Hints<RedisErrorCode, RedisOperatorCode> = {
  DENIED: {
    problem: 'is in protected mode, which allows only clients on its own machine',
    fix: 'set a password on the server and in REDIS_PASSWORD, or REDIS_URL',
  },
  NOAUTH: {
    problem: 'requires a login',
    fix: 'set REDIS_PASSWORD, and REDIS_USERNAME for an ACL user, or REDIS_URL',
  },
  WRONGPASS: {
    problem: 'rejects the credentials',
    fix: 'check REDIS_USERNAME and REDIS_PASSWORD, or REDIS_URL',
  },
  NOPERM: {
    problem: 'denies a permission that is needed',
    fix: 'grant the user REDIS_USERNAME the permissions in docs/configuration.md',
  },
  UNKNOWN_COMMAND: {
    problem: 'does not have a command that is needed',
    fix: 'use Redis 7 or newer, or Valkey, and let a proxy in front of it pass the command on',
  },
  CROSSSLOT: REDIS_CLUSTER,
  MOVED: REDIS_CLUSTER,
  ASK: REDIS_CLUSTER,
  CLUSTER_MODE: REDIS_CLUSTER,
  NO_CLUSTER: {
    problem: 'is not in cluster mode',
    fix: 'set REDIS_HOST and REDIS_PORT, or REDIS_URL, instead of REDIS_CLUSTER_NODES',
  },
  CLUSTERDOWN: CLUSTER_DOWN,
  TRYAGAIN: CLUSTER_DOWN,
  DATABASE: {
    problem: 'does not have this database',
    fix: 'lower REDIS_DB, or the number in REDIS_URL, or raise the setting `databases` of the server',
  },
  CERTIFICATE: {
    problem: "has a certificate that can't be verified",
    fix: 'set REDIS_TLS_CA_FILE to the CA that signed it, and REDIS_HOST (REDIS_SENTINELS, REDIS_CLUSTER_NODES) to a name in it, or renew it if it has expired',
  },
  TLS: {
    problem: 'does not complete the TLS handshake',
    fix: 'check that the port uses TLS (otherwise unset REDIS_TLS), and REDIS_TLS_CERT_FILE if the server requires a client certificate',
  },
  KEY_TYPE: {
    problem: 'holds a key of the wrong type that the service needs',
    fix: `${MISTYPED_FIX}; cache-cli doctor names the type that it must have`,
  },
  NO_SENTINEL: {
    problem: "can't be found, because no Sentinel answers",
    fix: 'check REDIS_SENTINELS and REDIS_SENTINEL_TLS, and that the Sentinels are running',
  },
  NO_NODE: {
    problem: "can't be reached, because no node of the Cluster answers",
    fix: 'check REDIS_CLUSTER_NODES and REDIS_TLS, that the nodes are running, and REDIS_CLUSTER_NAT_MAP if they announce addresses of another network',
  },
  SENTINEL_NAME: {
    problem: "can't be found, because the Sentinels do not know its name",
    fix: 'set REDIS_SENTINEL_NAME to the name in `sentinel monitor`, and check REDIS_SENTINELS',
  },
  SENTINEL_LOGIN: {
    problem: "can't be found, because a Sentinel refuses the login",
    fix: 'check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD, which are not those of Redis',
  },
  CONNECTION: REDIS_UNREACHABLE,
  TIMEOUT: REDIS_UNREACHABLE,
  MAXCLIENTS: { problem: 'accepts no more connections', fix: 'raise maxclients, or close other connections' },
  OOM: { problem: 'is full', fix: 'raise maxmemory of the server, or delete what else it holds' },
  READONLY: {
    problem: 'is a replica',
    fix: 'let REDIS_HOST, or REDIS_URL, lead to the primary; after a failover the worker finds it there by itself',
  },
  MISCONF: { problem: 'cannot save its data', fix: 'see the log of the server, and free its disk' },
  BUSY: { problem: 'is busy with a script', fix: 'end the script with `redis-cli SCRIPT KILL`' },
  NOREPLICAS: {
    problem: 'has too few replicas',
    fix: 'start the replicas, or lower min-replicas-to-write of the server',
  },
  LOADING: REDIS_NOT_READY,
  MASTERDOWN: REDIS_NOT_READY,
}

const KAFKA_UNREACHABLE: OperatorHint = {
  problem: "can't be reached",
  fix: 'check KAFKA_BOOTSTRAP_SERVERS, and that KAFKA_SSL and KAFKA_SASL_MECHANISM match the listener',
}

const KAFKA_HINTS: Hints<KafkaErrorCode, KafkaOperatorCode> = {
  SASL: {
    problem: 'rejects the credentials',
    fix: 'check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD',
  },
  SASL_MECHANISM: {
    problem: 'does not offer this SASL mechanism on the listener',
    fix: 'set KAFKA_SASL_MECHANISM to one that the listener offers, or unset it if it offers none',
  },
  NOT_AUTHORIZED: {
    problem: 'denies access to a topic or a consumer group',
    fix: 'add the ACLs for KAFKA_VALIDATED_DATA_TOPIC, KAFKA_ERROR_TOPIC and KAFKA_CONSUMER_GROUP_ID',
  },
  SESSION_TIMEOUT: {
    problem: 'does not allow this session timeout',
    fix: 'set KAFKA_SESSION_TIMEOUT_S between group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers',
  },
  GROUP: {
    problem: 'rejects the name of the consumer group',
    fix: 'correct KAFKA_CONSUMER_GROUP_ID',
  },
  GROUP_CONFLICT: {
    problem: 'does not let the worker join the consumer group, which another program uses',
    fix: 'set another KAFKA_CONSUMER_GROUP_ID',
  },
  GROUP_FULL: {
    problem: 'accepts no more members in the consumer group',
    fix: 'run fewer workers, or raise group.max.size of the brokers',
  },
  TOPIC_NAME: {
    problem: 'rejects the name of a topic',
    fix: 'correct KAFKA_VALIDATED_DATA_TOPIC or KAFKA_ERROR_TOPIC',
  },
  MESSAGE_TOO_LARGE: {
    problem: 'rejects a message as too large',
    fix: 'raise max.message.bytes of the topic (KAFKA_ERROR_TOPIC for dead letters)',
  },
  VERSION: {
    problem: 'does not support the version of a request',
    fix: 'check that KAFKA_BOOTSTRAP_SERVERS names brokers, not controllers, of Kafka 0.11 or newer',
  },
  CERTIFICATE: {
    problem: "has a certificate that can't be verified",
    fix: 'set KAFKA_SSL_CA_FILE to the CA that signed it, KAFKA_BOOTSTRAP_SERVERS to names in it, or renew it if it has expired',
  },
  TLS: {
    problem: 'does not complete the TLS handshake',
    fix: 'check that the listener uses TLS (otherwise unset KAFKA_SSL), and KAFKA_SSL_CERT_FILE if it requires a client certificate',
  },
  CONNECTION: KAFKA_UNREACHABLE,
  TIMEOUT: KAFKA_UNREACHABLE,
  TOPIC_MISSING: {
    problem: 'has no such topic',
    fix: 'check KAFKA_VALIDATED_DATA_TOPIC and KAFKA_ERROR_TOPIC',
  },
}

export const MASTER_FIX =
  'restart it, or let a replica take its place; if other clients reach it, check REDIS_TLS, and REDIS_CLUSTER_NAT_MAP for its address'
const MASTER_UNREACHABLE: OperatorHint = {
  problem: 'is a Cluster with a master that does not answer',
  fix: MASTER_FIX,
}

/** undefined: the code does not tell what to do, but the message of the error may. */
export function hintFor(error: ServiceError): OperatorHint | undefined {
  const { code, master, side } = error
  if (master !== undefined && isUnreachable(error)) return MASTER_UNREACHABLE
  const hints: Partial<Record<ServiceError['code'], OperatorHint>> =
    side === 'redis' ? REDIS_HINTS : side === 'kafka' ? KAFKA_HINTS : {}
  return hints[code]
}

/** The message, as part of a longer sentence: Redis ends some of its replies with a period. */
export function replyText({ message }: ServiceError): string {
  return message.trim().replace(/\.$/, '')
}

/** One line that says what is wrong, what the server replied, and which settings to check. */
export function operatorHint(error: ServiceError): string {
  const hint = hintFor(error)
  if (hint === undefined) return `${error.side}: ${error.message}`
  return `${error.side === 'redis' ? 'Redis' : 'Kafka'} ${hint.problem} (${replyText(error)}): ${hint.fix}`
}

/** What `/readyz` says about a failure: the reply, and what to do if the code tells. */
export function failureText(error: ServiceError): string {
  const hint = hintFor(error)
  return hint === undefined ? error.message : `${replyText(error)}; ${hint.fix}`
}

/** The fields of a log line about a node of a Cluster, whose address the Cluster has told. */
export function nodeFailureFields(error: ServiceError) {
  return { ...failureFields(error), ...(isUnreachable(error) && { fix: MASTER_FIX }) }
}

export function isUnreachable({ code }: Pick<ServiceError, 'code'>): boolean {
  return code === 'CONNECTION' || code === 'TIMEOUT'
}

/** The fields of a log line about a failure. */
export function failureFields(error: ServiceError) {
  const hint = hintFor(error)
  return { code: error.code, error: error.message, ...(hint !== undefined && { fix: hint.fix }) }
}

import type { ServiceError } from '../../shared/errors.ts'

/** Which setting an operator must look at. */
export function operatorHint({ side, code, message }: ServiceError): string {
  switch (code) {
    case 'NOAUTH':
    case 'WRONGPASS':
      return 'Redis refuses our credentials: check REDIS_USERNAME and REDIS_PASSWORD (or REDIS_URL)'
    case 'NOPERM':
      return 'the Redis user may not do what we need: give REDIS_USERNAME the ACL of the README'
    case 'UNKNOWN_COMMAND':
      return 'this Redis lacks a command that we need: Redis 7 or newer, or Valkey'
    case 'SASL':
      return 'Kafka refuses our credentials: check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD'
    case 'NOT_AUTHORIZED':
      return 'Kafka refuses us a topic or the group: check its ACLs for KAFKA_VALIDATED_DATA_TOPIC, KAFKA_ERROR_TOPIC and KAFKA_CONSUMER_GROUP_ID'
    default:
      return `${side}: ${message}`
  }
}

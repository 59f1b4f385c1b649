// What the package of the Redis library exports of errors.ts.
export {
  kafkaError,
  redisError,
  ServiceError,
  type FailureClass,
  type KafkaErrorCode,
  type RedisErrorCode,
} from './errors.ts'

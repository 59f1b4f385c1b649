// What the package of the Redis library exports.
export { enumName, isoDate } from './codecs.ts'
export type { ProblemListener } from './connection.ts'
export {
  RedisConnectionError,
  RedisDeserializationError,
  RedisNotificationsError,
  RedisOperationError,
  RedisSerializationError,
  RedisServiceError,
  RedisSettingsError,
  RedisVersionConflictError,
} from './errors.ts'
export {
  RedisConfigStore,
  type ConfigChange,
  type ConfigListener,
  type ConfigVersion,
  type ConfigWatch,
  type RedisConfigStoreOptions,
  type UpdateOptions,
  type UpdateResult,
} from './redis-config-store.ts'
export { FailedValue, RedisService, type RedisServiceOptions, type SetOptions } from './redis-service.ts'
export { redisSettingsFrom } from './environment.ts'
export type { RedisSettings, RedisTls } from './settings.ts'
export type { RedisClient, RedisClientSettings, RedisTarget, RedisUrlSettings } from './target.ts'

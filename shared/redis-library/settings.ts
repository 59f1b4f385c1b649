import { readRedisSettings } from './environment.ts'

/** Address of the Redis server, credentials and TLS. */
export type RedisSettings = {
  readonly host: string
  readonly port: number
  /** Number of the database. Default: 0. */
  readonly db?: number | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `true`: TLS with the certificate authorities that Node.js trusts. Default: no TLS. */
  readonly tls?: boolean | RedisTls | undefined
  /** Milliseconds without a reply after which commands fail and the connection counts as lost. Default: 5000. */
  readonly timeoutMs?: number | undefined
}

/** Certificates and the key are PEM texts. */
export type RedisTls = {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** `false` accepts any server certificate. Default: true. */
  readonly rejectUnauthorized?: boolean | undefined
}

/**
 * Reads the settings from the same environment variables as the service, by the same rules. An unset or empty variable means
 * its default.
 *
 * - `REDIS_HOST` (redis), `REDIS_PORT` (6379), `REDIS_DB` (0), `REDIS_USERNAME`, `REDIS_PASSWORD`
 * - `REDIS_URL`: `redis://` or `rediss://[user[:password]@]host[:port][/db]`, instead of all of the above
 * - `REDIS_TLS` (false), `REDIS_TLS_CA_FILE`, `REDIS_TLS_CERT_FILE`, `REDIS_TLS_KEY_FILE` (PEM),
 *   `REDIS_TLS_REJECT_UNAUTHORIZED` (true)
 * - `REDIS_TIMEOUT_S` (5)
 * - `REDIS_PASSWORD_FILE`, `REDIS_URL_FILE`: name a file that contains the secret
 *
 * @param environment such as `process.env`
 * @throws RedisSettingsError that names every invalid variable, without quoting any value.
 */
export function redisSettingsFrom(environment: Readonly<Record<string, string | undefined>>): RedisSettings {
  return readRedisSettings(environment)
}

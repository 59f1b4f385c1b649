import { RedisSettingsError } from './errors.ts'
import { parseRedisUrl } from '../redis-url.ts'
import type { RedisSettings, RedisTls } from './settings.ts'

export type RedisUrlSettings = {
  /** `redis://` or `rediss://[user[:password]@]host[:port][/db]`. */
  readonly url: string
  /** Certificates for `rediss://`. Default: the certificate authorities that Node.js trusts. */
  readonly tls?: RedisTls | undefined
  /** Milliseconds without a reply after which commands fail and the connection counts as lost. Default: 5000. */
  readonly timeoutMs?: number | undefined
}

/** The part of ioredis's `Redis` (also with Sentinel) and `Cluster`, versions 5 and 6, that is required of a client. */
export type RedisClient = {
  readonly isCluster: boolean
  readonly status: string
  readonly options: { readonly keyPrefix?: string | undefined }
  connect(): Promise<void>
  duplicate(): unknown
  ping(): Promise<string>
}

export type RedisClientSettings = {
  /**
   * A client of ioredis that the caller opens and closes. Its options stay as they are, except that a command fails after
   * `timeoutMs`. It must have no `keyPrefix`.
   */
  readonly client: RedisClient
  /** Milliseconds without a reply after which a command fails. Default: 5000. */
  readonly timeoutMs?: number | undefined
}

/** Where Redis is: an address, a URL, or a client that is connected to it. */
export type RedisTarget = RedisSettings | RedisUrlSettings | RedisClientSettings

/** @throws RedisSettingsError for an invalid URL, or a client that cannot be used. */
export function resolveTarget(target: RedisTarget): RedisSettings | RedisClientSettings {
  if ('client' in target) {
    if (!target.client.options.keyPrefix) return target
    const problem = 'must have no keyPrefix, which would not be part of the names of keys that Redis reports'
    throw new RedisSettingsError(new Map([['client', problem]]))
  }
  if (!('url' in target)) return target
  const address = parseRedisUrl(target.url)
  if (address === undefined) {
    const problem = 'must be redis:// or rediss://[user[:password]@]host[:port][/db]'
    throw new RedisSettingsError(new Map([['url', problem]]))
  }
  const { tls, ...server } = address
  if (target.tls !== undefined && !tls)
    throw new RedisSettingsError(new Map([['url', 'must begin with rediss://, because tls is set']]))
  return { ...server, tls: target.tls ?? tls, timeoutMs: target.timeoutMs }
}

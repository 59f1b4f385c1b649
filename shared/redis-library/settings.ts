/** Where Redis is, credentials and TLS. */
export type RedisSettings = RedisServerSettings | RedisSentinelSettings

/** One server. */
export type RedisServerSettings = RedisLogin & {
  readonly host: string
  readonly port: number
}

/** The primary that Sentinels name: at each new connection, and after a failover at once. */
export type RedisSentinelSettings = RedisLogin & {
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  /** Of the primary in the configuration of the Sentinels, such as `mymaster`. */
  readonly name: string
  readonly sentinelUsername?: string | undefined
  /** For the Sentinels; `password` is for Redis. */
  readonly sentinelPassword?: string | undefined
  /** Of the connections to the Sentinels. Default: no TLS. */
  readonly sentinelTls?: boolean | RedisTls | undefined
}

export type RedisLogin = {
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

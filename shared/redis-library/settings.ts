/** Where Redis is, credentials and TLS. */
export type RedisSettings = RedisServerSettings | RedisSentinelSettings | RedisClusterSettings

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

/** All masters of a Redis Cluster, also after failovers and after slots have moved. The login is the same for all nodes. */
export type RedisClusterSettings = Omit<RedisLogin, 'db'> & {
  /** Some of the nodes; the others are discovered from them. */
  readonly clusterNodes: readonly { readonly host: string; readonly port: number }[]
  /** Where the nodes can be reached, by the address that they announce, `host:port`. Default: there. */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>> | undefined
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

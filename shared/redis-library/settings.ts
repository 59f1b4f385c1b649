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

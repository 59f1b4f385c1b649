import { readFileSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { certificatesProblem, isKeyOf, privateKeyProblem } from '../pem.ts'
import { RedisSettingsError } from './errors.ts'

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
 * Reads the settings from the same environment variables as the service. An unset or empty variable means its default.
 *
 * - `REDIS_HOST` (redis), `REDIS_PORT` (6379), `REDIS_DB` (0), `REDIS_USERNAME`, `REDIS_PASSWORD`
 * - `REDIS_URL`: `redis://` or `rediss://[user[:password]@]host[:port][/db]`, replaces all of the above
 * - `REDIS_TLS` (false), `REDIS_TLS_CA_FILE`, `REDIS_TLS_CERT_FILE`, `REDIS_TLS_KEY_FILE` (PEM)
 * - `REDIS_PASSWORD_FILE`, `REDIS_URL_FILE`: name a file that contains the secret
 *
 * @param environment such as `process.env`
 * @throws RedisSettingsError that names every invalid variable, without quoting any value.
 */
export function redisSettingsFrom(environment: Readonly<Record<string, string | undefined>>): RedisSettings {
  const problems = new Map<string, string>()
  const variables = new Variables(environment, problems)
  const url = variables.secret('REDIS_URL')
  const isTls = variables.flag('REDIS_TLS')
  const server = url === undefined ? variables.server() : variables.address(url)
  const tls = variables.tls(isTls || server?.isTls === true)
  if (problems.size > 0 || server === undefined) throw new RedisSettingsError(problems)
  const { host, port, db, username, password } = server
  return { host, port, db, username, password, tls }
}

type Server = {
  host: string
  port: number
  db: number
  username: string | undefined
  password: string | undefined
  isTls: boolean
}

class Variables {
  readonly #environment: Readonly<Record<string, string | undefined>>
  readonly #problems: Map<string, string>

  constructor(environment: Readonly<Record<string, string | undefined>>, problems: Map<string, string>) {
    this.#environment = environment
    this.#problems = problems
  }

  server(): Server {
    return {
      host: this.#host(),
      port: this.#wholeNumber('REDIS_PORT', 6379, 1, 65_535),
      db: this.#wholeNumber('REDIS_DB', 0, 0, 9999),
      username: this.#text('REDIS_USERNAME'),
      password: this.secret('REDIS_PASSWORD'),
      isTls: false,
    }
  }

  address(text: string): Server | undefined {
    const url = /^rediss?:\/\//i.test(text) ? parseUrl(text) : undefined
    const db = /^\/?(\d{0,4})$/.exec(url?.pathname ?? '')?.[1]
    const username = decoded(url?.username)
    const password = decoded(url?.password)
    const isPlain = url?.search === '' && url.hash === '' && url.hostname !== '' && url.port !== '0'
    if (!isPlain || db === undefined || username === undefined || password === undefined) {
      this.#problems.set('REDIS_URL', 'must be redis:// or rediss://[user[:password]@]host[:port][/db]')
      return undefined
    }
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port || 6379),
      db: Number(db),
      username: username || undefined,
      password: password || undefined,
      isTls: /^rediss:$/i.test(url.protocol),
    }
  }

  tls(isWanted: boolean): RedisTls | undefined {
    const [ca, cert] = [this.#pem('CA', certificatesProblem), this.#pem('CERT', certificatesProblem)]
    const key = this.#pem('KEY', privateKeyProblem)
    if (this.#problems.size === 0 && cert !== undefined && key !== undefined && !isKeyOf(cert, key))
      this.#problems.set('REDIS_TLS_KEY_FILE', 'must name the private key of REDIS_TLS_CERT_FILE')
    return isWanted ? { ca, cert, key } : undefined
  }

  flag(name: string): boolean {
    const text = this.#text(name)?.toLowerCase() ?? 'false'
    if (['true', '1', 'yes', 'on'].includes(text)) return true
    if (!['false', '0', 'no', 'off'].includes(text)) this.#problems.set(name, 'must be true or false')
    return false
  }

  secret(name: string): string | undefined {
    return this.#text(name) ?? this.#file(`${name}_FILE`)?.replace(/\r?\n$/, '')
  }

  #text(name: string): string | undefined {
    return this.#environment[name] || undefined
  }

  #host(): string {
    const host = this.#text('REDIS_HOST') ?? 'redis'
    const isHost =
      /^[A-Za-z0-9._-]{1,253}$/.test(host) || /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(host)
    if (!isHost) this.#problems.set('REDIS_HOST', 'must be a host name or an IP address, without a port')
    return host
  }

  #wholeNumber(name: string, byDefault: number, min: number, max: number): number {
    const text = this.#text(name)
    if (text === undefined) return byDefault
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
    if (!(value >= min && value <= max)) {
      this.#problems.set(name, `must be a whole number from ${min} to ${max}`)
    }
    return value
  }

  #pem(part: 'CA' | 'CERT' | 'KEY', problemOf: (text: string) => string | undefined): string | undefined {
    const name = `REDIS_TLS_${part}_FILE`
    const text = this.#file(name)
    const problem = text === undefined ? undefined : problemOf(text)
    if (problem !== undefined) this.#problems.set(name, problem)
    return text
  }

  #file(name: string): string | undefined {
    const path = this.#text(name)
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      this.#problems.set(name, `cannot be read: ${messageOf(error)}`)
      return undefined
    }
  }
}

/** URL.parse, which Node.js has since version 22. */
function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function decoded(text: string | undefined): string | undefined {
  try {
    return decodeURIComponent(text ?? '')
  } catch {
    return undefined
  }
}

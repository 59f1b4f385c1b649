import { readFileSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { RedisSettingsError } from './errors.ts'

/** Where Redis is, and how to get in. */
export type RedisSettings = {
  readonly host: string
  readonly port: number
  /** Default: 0. */
  readonly db?: number | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `true`: by the authorities that Node trusts. Texts are PEM. */
  readonly tls?: boolean | RedisTls | undefined
  /** Silence after which a command is given up and the connection counts as lost, in ms. Default: 5000. */
  readonly timeoutMs?: number | undefined
}

export type RedisTls = {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

/**
 * The settings that these variables describe; unset or empty means the default. They are those of the service:
 *
 * - `REDIS_HOST` (redis), `REDIS_PORT` (6379), `REDIS_DB` (0), `REDIS_USERNAME`, `REDIS_PASSWORD`
 * - `REDIS_URL`: `redis://` or `rediss://[user[:password]@]host[:port][/db]`, instead of all these
 * - `REDIS_TLS` (false), `REDIS_TLS_CA_FILE`, `REDIS_TLS_CERT_FILE`, `REDIS_TLS_KEY_FILE`
 * - `REDIS_PASSWORD_FILE`, `REDIS_URL_FILE`: the secret is in a file
 *
 * @param environment such as `process.env`
 * @throws RedisSettingsError that names every bad variable, and quotes no value.
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
    const url = /^rediss?:\/\//i.test(text) ? URL.parse(text) : null
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
    const [ca, cert, key] = [this.#pem('CA'), this.#pem('CERT'), this.#pem('KEY')]
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

  #wholeNumber(name: string, otherwise: number, least: number, most: number): number {
    const text = this.#text(name)
    if (text === undefined) return otherwise
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
    if (!(value >= least && value <= most)) {
      this.#problems.set(name, `must be a whole number from ${least} to ${most}`)
    }
    return value
  }

  #pem(part: 'CA' | 'CERT' | 'KEY'): string | undefined {
    const name = `REDIS_TLS_${part}_FILE`
    const text = this.#file(name)
    if (text !== undefined && !text.includes('-----BEGIN ')) {
      this.#problems.set(name, 'must name a file in PEM form')
    }
    return text
  }

  #file(name: string): string | undefined {
    const path = this.#text(name)
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      this.#problems.set(name, `can't be read: ${messageOf(error)}`)
      return undefined
    }
  }
}

function decoded(text: string | undefined): string | undefined {
  try {
    return decodeURIComponent(text ?? '')
  } catch {
    return undefined
  }
}

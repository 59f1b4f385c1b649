import { withoutBrackets } from './server-address.ts'

export type RedisAddress = {
  readonly tls: boolean
  readonly host: string
  readonly port: number
  readonly db: number
  readonly username: string | undefined
  readonly password: string | undefined
}

/** `redis://` or `rediss://[user[:password]@]host[:port][/db]`, percent-encoded. @returns undefined: it is anything else. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  if (!/^rediss?:\/\//i.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const db = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1]
  const username = decoded(url.username)
  const password = decoded(url.password)
  const isPlain = url.search === '' && url.hash === '' && url.hostname !== '' && url.port !== '0'
  if (!isPlain || db === undefined || username === undefined || password === undefined) return undefined
  return {
    tls: url.protocol === 'rediss:',
    host: withoutBrackets(url.hostname),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(db),
    username: username || undefined,
    password: password || undefined,
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

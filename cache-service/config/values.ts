import { isIP, isIPv6 } from 'node:net'
import { z } from 'zod'
import { isToken } from '../../shared/client/token.ts'
import { isDeviceId, type DeviceId } from '../../shared/contract/device-id.ts'
import { certificatesProblem, privateKeyProblem } from '../../shared/pem.ts'
import { parseRedisUrl, type RedisAddress } from '../../shared/redis-url.ts'
import {
  DEFAULT_REDIS_PORT,
  DEFAULT_SENTINEL_PORT,
  parseNatMap,
  parseServerAddresses,
  serverAddressText,
  withoutBrackets,
  type NatMap,
  type ServerAddress,
} from '../../shared/server-address.ts'

// Schemas from the text of an environment variable to its value. Every message is a predicate ("must be …"),
// so that it reads well after the name of the variable.

type Refusal = { kind: 'refused'; message: string }
type Accepted<T> = { kind: 'accepted'; value: T }

function accepted<T>(value: T): Accepted<T> {
  return { kind: 'accepted', value }
}

function refused(message: string): Refusal {
  return { kind: 'refused', message }
}

function fromText<T>(parse: (text: string) => Accepted<T> | Refusal) {
  return z.string().transform((text, context) => {
    const result = parse(text)
    if (result.kind === 'accepted') return result.value
    context.addIssue({ code: 'custom', message: result.message })
    return z.NEVER
  })
}

export function flag() {
  return fromText((text) => {
    const word = text.toLowerCase()
    if (['true', '1', 'yes'].includes(word)) return accepted(true)
    if (['false', '0', 'no'].includes(word)) return accepted(false)
    return refused('must be true or false (1, 0, yes and no are accepted as well)')
  })
}

export function wholeNumber(minimum: number, maximum: number) {
  return fromText((text) => {
    const value = Number(text)
    return /^\d{1,15}$/.test(text) && value >= minimum && value <= maximum
      ? accepted(value)
      : refused(`must be a whole number from ${minimum} to ${maximum}`)
  })
}

/** Seconds, decimals allowed, as whole milliseconds. */
export function seconds(minimum: number, maximum: number) {
  return fromText((text) => {
    const value = Number(text)
    return /^\d{1,12}(\.\d{1,9})?$/.test(text) && value >= minimum && value <= maximum
      ? accepted(Math.round(value * 1000))
      : refused(`must be a number of seconds from ${minimum} to ${maximum}`)
  })
}

/** A name chosen by people: a group, a client, a user. */
export function name(maximum: number) {
  return fromText((text) =>
    text.length > 0 && text.length <= maximum && !/[\s\p{Cc}]/u.test(text)
      ? accepted(text)
      : refused(`must be 1 to ${maximum} characters without spaces`),
  )
}

/** Kafka's own rule for topic names. */
export function topicName() {
  return fromText((text) =>
    /^[A-Za-z0-9._-]{1,249}$/.test(text) && text !== '.' && text !== '..'
      ? accepted(text)
      : refused('must be a topic name: 1 to 249 letters, digits, dots, hyphens and underscores'),
  )
}

export function hostName() {
  return fromText((text) => {
    if (/^[^:]+:\d+$/.test(text))
      return refused('must be a host name without a port; the port has its own variable')
    return isIPv6(text) || /^[A-Za-z0-9._-]{1,253}$/.test(text)
      ? accepted(text)
      : refused('must be a host name or an IP address')
  })
}

const DEFAULT_BROKER_PORT = 9092

/** A comma-separated list of `host:port`. A missing port is 9092, as in every Kafka client. */
export function brokerList() {
  return fromText((text): Accepted<readonly string[]> | Refusal => {
    const brokers = parseServerAddresses(text, DEFAULT_BROKER_PORT)
    return 'problem' in brokers ? refused(brokers.problem) : accepted(brokers.map(serverAddressText))
  })
}

/** A comma-separated list of `host:port`. A missing port is 26379, the default of Sentinels. */
export function sentinelList() {
  return fromText((text): Accepted<readonly ServerAddress[]> | Refusal => {
    const sentinels = parseServerAddresses(text, DEFAULT_SENTINEL_PORT)
    return 'problem' in sentinels ? refused(sentinels.problem) : accepted(sentinels)
  })
}

/** A comma-separated list of `host:port`. A missing port is 6379. */
export function redisNodeList() {
  return fromText((text): Accepted<readonly ServerAddress[]> | Refusal => {
    const nodes = parseServerAddresses(text, DEFAULT_REDIS_PORT)
    return 'problem' in nodes ? refused(nodes.problem) : accepted(nodes)
  })
}

/** `announced-host:port=reachable-host:port`, comma-separated. */
export function natMap() {
  return fromText((text): Accepted<NatMap> | Refusal => {
    const parsed = parseNatMap(text)
    return 'problem' in parsed ? refused(parsed.problem) : accepted(parsed.natMap)
  })
}

/** One of a few words, case-insensitive. The keys of `words` are what may be written, in lower case. */
export function oneOf<T extends string>(words: Readonly<Record<string, T>>, described: string) {
  const byWord = new Map(Object.entries(words))
  return fromText((text): Accepted<T> | Refusal => {
    const value = byWord.get(text.toLowerCase())
    return value === undefined ? refused(`must be ${described}`) : accepted(value)
  })
}

/** The empty text is undefined: for options without a default. */
export function optional<T>(schema: z.ZodType<T, string>) {
  return z.string().transform((text, context): T | undefined => {
    if (text === '') return undefined
    const result = schema.safeParse(text)
    if (result.success) return result.data
    for (const issue of result.error.issues) context.addIssue({ code: 'custom', message: issue.message })
    return z.NEVER
  })
}

export function anyText() {
  return fromText((text) =>
    text.includes('\0') ? refused('must not contain a NUL character') : accepted(text),
  )
}

/** The content of the file that an option names. */
export function certificates() {
  return checkedText(certificatesProblem)
}

export function privateKey() {
  return checkedText(privateKeyProblem)
}

function checkedText(problem: (text: string) => string | undefined) {
  return fromText((text) => {
    const message = problem(text)
    return message === undefined ? accepted(text) : refused(message)
  })
}

/** The value is a secret: no message may quote any part of it. */
export function redisUrl() {
  return fromText((text): Accepted<RedisAddress> | Refusal => {
    if (!/^rediss?:\/\//i.test(text)) return refused('must begin with redis:// or rediss://')
    const address = parseRedisUrl(text)
    return address === undefined
      ? refused(
          'must be redis://[user[:password]@]host[:port][/db], with special characters in the password as %XX',
        )
      : accepted(address)
  })
}

/** Everything (`*`), nothing (empty), or a comma-separated list of names, without those that are always kept. */
export function extraFields(alwaysKept: readonly string[]) {
  return fromText((text): Accepted<'all' | readonly string[]> | Refusal => {
    if (text === '') return accepted([])
    if (text === '*') return accepted('all')
    const names = [...new Set(splitList(text))]
    if (names.includes('*')) return refused('must be either * or a list of names, not both')
    if (names.length === 0) return refused('must be * or a comma-separated list of names')
    const kept = names.filter((fieldName) => alwaysKept.includes(fieldName))
    return kept.length > 0
      ? refused(`must not list ${kept.join(', ')}: the service always writes it`)
      : accepted(names)
  })
}

/** A comma-separated list without duplicates. */
export function commaList(maximum: number) {
  return fromText((text): Accepted<readonly string[]> | Refusal => {
    const parts = [...new Set(splitList(text))]
    return parts.every((part) => part.length <= maximum && !/\p{Cc}/u.test(part))
      ? accepted(parts)
      : refused(`must be a comma-separated list of texts of at most ${maximum} characters`)
  })
}

/** Names as in a Host header, without a port, in lower case; IPv6 addresses with or without [ ]. */
export function hostList() {
  return fromText((text): Accepted<readonly string[]> | Refusal => {
    const hosts = splitList(text).map((part) => withoutBrackets(part.toLowerCase()))
    return hosts.every((host) => isIPv6(host) || /^[a-z0-9._-]{1,253}$/.test(host))
      ? accepted([...new Set(hosts)])
      : refused('must be a comma-separated list of host names without ports')
  })
}

/** Origins as browsers send them: scheme, host and port only. */
export function originList() {
  return fromText((text): Accepted<readonly string[]> | Refusal => {
    const origins = splitList(text)
    return origins.every((origin) => /^https?:/.test(origin) && URL.parse(origin)?.origin === origin)
      ? accepted([...new Set(origins)])
      : refused('must be a comma-separated list of origins such as https://example.org')
  })
}

/** Without a user, since it is not a secret. */
export function httpUrl() {
  return fromText((text) => {
    const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null
    if (url === null || url.search !== '' || url.hash !== '')
      return refused('must be an address such as http://cache_service:5011')
    return url.username === '' && url.password === ''
      ? accepted(text)
      : refused('must not contain a user name or a password')
  })
}

/** The value is a secret: no message may quote any part of it. */
export function bearerToken() {
  return fromText((text) =>
    isToken(text)
      ? accepted(text)
      : refused('must not contain spaces, line breaks or characters outside of ASCII'),
  )
}

const CANARY_PREFIX = 'cache_service_canary'

/** An id that no real device has, since the canary overwrites its metadata. */
export function canaryDeviceId() {
  return fromText((text): Accepted<DeviceId> | Refusal => {
    if (!isDeviceId(text)) return refused('must be a device id: 1 to 256 bytes without control characters')
    return text.startsWith(CANARY_PREFIX) ? accepted(text) : refused(`must begin with ${CANARY_PREFIX}`)
  })
}

/** Addresses, networks in CIDR notation, and the names that Fastify has for the private ranges. */
export function proxyList() {
  return fromText((text): Accepted<readonly string[]> | Refusal => {
    const proxies = splitList(text).map((part) => part.toLowerCase())
    return proxies.every(isNetwork)
      ? accepted([...new Set(proxies)])
      : refused(
          'must be a comma-separated list of IP addresses, networks such as 10.1.0.0/16, loopback, linklocal or uniquelocal; not every address, since any client could then claim to be another',
        )
  })
}

function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0 || address.includes('%')) return false
  return bits === undefined || (Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128))
}

/** Empty, or a path such as `/cache`; a slash at its end is dropped. */
export function pathPrefix() {
  return fromText((text) =>
    /^(\/[\w.~-]+)*\/?$/.test(text) && !/\/\.\.?(\/|$)/.test(text)
      ? accepted(text.replace(/\/$/, ''))
      : refused('must be a path such as /cache: segments of letters, digits and . _ ~ -'),
  )
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

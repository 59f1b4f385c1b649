import { isToken, type TokenSource } from './token.ts'
import type { TransportOptions } from './transport.ts'
import type { DeviceCacheClientOptions } from './types.ts'
import type { NearCacheBounds } from './near-cache.ts'

export type ClientSettings = TransportOptions & {
  readonly maxConcurrency: number
  readonly silenceMs: number
  /** undefined: no near cache. */
  readonly nearCache: NearCacheBounds | undefined
}

const NEAR_CACHE: NearCacheBounds = { maxEntries: 10_000, maxAgeMs: 60_000, staleIfErrorMs: 300_000 }
const BACKOFF = { firstMs: 200, longestMs: 5_000 }
/** A longer timer would fire immediately. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Applies the defaults and validates the options. @throws TypeError for an invalid option. */
export function readClientOptions(options: DeviceCacheClientOptions): ClientSettings {
  const { fetch = globalThis.fetch } = options
  return {
    ...BACKOFF,
    baseUrl: readBaseUrl(options.baseUrl),
    token: readTokenOption(options.token),
    timeoutMs: readNumber('timeoutMs', options.timeoutMs, 5_000, 1, LONGEST_TIMER_MS),
    retries: readNumber('retries', options.retries, 3, 0, 100),
    longestRetryAfterMs: readNumber('longestRetryAfterMs', options.longestRetryAfterMs, 10_000, 0, 3_600_000),
    maxConcurrency: readNumber('maxConcurrency', options.maxConcurrency, 4, 1, 1_000),
    silenceMs: readNumber('silenceMs', options.silenceMs, 45_000, 1, LONGEST_TIMER_MS),
    nearCache: readNearCache(options.nearCache),
    // Browsers reject a call of their fetch as a method of another object.
    fetch: (input, init) => fetch(input, init),
    random: () => Math.random(),
  }
}

function readBaseUrl(given: string | URL): URL {
  const url = URL.canParse(String(given)) ? new URL(given) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new TypeError('baseUrl must be an http or https URL')
  }
  if (url.username !== '' || url.password !== '')
    throw new TypeError('baseUrl must not contain a user name or a password')
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  url.search = ''
  url.hash = ''
  return url
}

function readTokenOption(given: DeviceCacheClientOptions['token']): TokenSource {
  if (typeof given === 'function') return given
  if (given !== undefined && given !== '' && !isToken(given))
    throw new TypeError('token must not contain spaces, line breaks or characters outside of ASCII')
  return () => given
}

function readNearCache(given: DeviceCacheClientOptions['nearCache']): NearCacheBounds | undefined {
  if (given === undefined || given === false) return undefined
  const { maxAgeMs, maxEntries, staleIfErrorMs } = given === true ? NEAR_CACHE : given
  return {
    maxEntries: readNumber('nearCache.maxEntries', maxEntries, NEAR_CACHE.maxEntries, 1, 10_000_000),
    maxAgeMs: readNumber('nearCache.maxAgeMs', maxAgeMs, NEAR_CACHE.maxAgeMs, 0, Infinity),
    staleIfErrorMs: readNumber(
      'nearCache.staleIfErrorMs',
      staleIfErrorMs,
      NEAR_CACHE.staleIfErrorMs,
      0,
      Infinity,
    ),
  }
}

function readNumber(name: string, given: number | undefined, byDefault: number, min: number, max: number) {
  if (given === undefined) return byDefault
  if (Number.isNaN(given) || given < min || given > max) {
    throw new TypeError(`${name} must be a number from ${min} to ${max}`)
  }
  return given
}

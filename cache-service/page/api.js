import { count } from './time.js'

/** A failed request; the message is shown to the user. */
export class ApiError extends Error {
  /** @param status 0: no answer. @param type of the problem document, such as `not_found` */
  constructor(status, message, type) {
    super(message)
    this.status = status
    this.type = type
  }

  /** Whether the API refused the request itself, so that repeating it is useless. A proxy's answer has no type. */
  get isPermanent() {
    return this.type !== undefined && this.status < 500 && !MAY_PASS.has(this.status)
  }
}

/** The token may be replaced or gain a scope; the API may be slow or busy. */
const MAY_PASS = new Set([401, 403, 408, 429])

const TOKEN_KEY = 'api-token'
const TIMEOUT_MS = 10_000
/** The page may be served below a path prefix of a reverse proxy; this file is in its folder `page/`. */
const ROOT = new URL('../', import.meta.url)

/** @param path below the root of the API */
export function apiUrl(path) {
  return new URL(path, ROOT).href
}

/**
 * A client for the API that serves this page. If a token is missing or rejected, it calls `askForToken` once for all
 * waiting requests and then repeats them.
 *
 * @param clock the server's, which it keeps right
 */
export function createApi(askForToken, clock) {
  let token = readToken()
  let pendingToken

  async function newToken(wasRefused) {
    token = await askForToken(wasRefused)
    storeToken(token)
    pendingToken = undefined
  }

  /**
   * Resolves with the reply if its status is 2xx or in `accepted`.
   *
   * @param path below the root of the API
   * @param timeoutMs for each attempt; undefined: no limit
   */
  async function open(path, { method = 'GET', body, headers = {}, accepted = [], signal, timeoutMs } = {}) {
    const request = { method, cache: 'no-store', ...(body !== undefined && { body: JSON.stringify(body) }) }
    for (;;) {
      const sent = token
      const sentMs = Date.now()
      const reply = await answered(timeoutMs, () =>
        fetch(apiUrl(path), {
          ...request,
          signal: timeoutMs === undefined ? signal : AbortSignal.timeout(timeoutMs),
          headers: {
            ...headers,
            ...(body !== undefined && { 'content-type': 'application/json' }),
            ...(sent !== undefined && { authorization: `Bearer ${sent}` }),
          },
        }),
      )
      clock.observe(reply.headers.get('date'), sentMs, Date.now())
      if (reply.ok || accepted.includes(reply.status)) return reply
      if (reply.status !== 401) throw await errorOf(reply)
      // Another request may have obtained a new token in the meantime.
      if (token === sent) await (pendingToken ??= newToken(sent !== undefined))
    }
  }

  /** Resolves with the JSON of the reply; undefined: it has none. */
  async function ask(path, { parse = JSON.parse, timeoutMs = TIMEOUT_MS, ...options } = {}) {
    const reply = await open(path, { timeoutMs, ...options })
    const text = await answered(timeoutMs, () => reply.text())
    try {
      return text === '' ? undefined : parse(text)
    } catch {
      // A proxy may answer with a page of its own.
      throw new ApiError(reply.status, 'The answer does not come from the API.')
    }
  }

  return {
    open,
    ask,
    /** Many devices in one request; their ids may be anything, also what cannot be a segment of a URL. */
    lookUp: (ids) => ask('api/devices/lookup', { method: 'POST', body: { ids } }),
    /** Resolves with the content of the reply. There is no time limit: it may be large. */
    async load(path) {
      const reply = await open(path)
      return await answered(undefined, () => reply.blob())
    },
    hasToken: () => token !== undefined,
    forgetToken() {
      token = undefined
      storeToken(undefined)
    },
  }
}

/** Both the status and the content of a reply may fail to arrive. */
async function answered(timeoutMs, receive) {
  try {
    return await receive()
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new ApiError(
      0,
      error.name === 'TimeoutError'
        ? `The API did not respond within ${count(timeoutMs / 1000, 'second')}.`
        : 'The API does not respond.',
    )
  }
}

async function errorOf(reply) {
  const body = await reply.json().catch(() => ({}))
  const { title, detail, error, type } = body ?? {}
  const message = [title ?? error, detail].filter((text) => typeof text === 'string').join(': ')
  return new ApiError(reply.status, message === '' ? `The API answered ${reply.status}.` : message, type)
}

function readToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? undefined
  } catch {
    return undefined
  }
}

function storeToken(token) {
  try {
    if (token === undefined) sessionStorage.removeItem(TOKEN_KEY)
    else sessionStorage.setItem(TOKEN_KEY, token)
  } catch {
    // Without storage the token lasts until the page is reloaded.
  }
}

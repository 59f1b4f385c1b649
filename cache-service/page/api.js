/** A failed request; the message is shown to the user. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

const TOKEN_KEY = 'api-token'
const TIMEOUT_MS = 10_000

/**
 * A client for the API of this origin. If a token is missing or rejected, it calls `askForToken` once for all waiting
 * requests and then repeats them.
 */
export function createApi(askForToken) {
  let token = readToken()
  let pendingToken

  async function newToken(wasRefused) {
    token = await askForToken(wasRefused)
    storeToken(token)
    pendingToken = undefined
  }

  /** Resolves with the reply if its status is 2xx or in `accepted`. */
  async function open(path, { method = 'GET', body, headers = {}, accepted = [], signal } = {}) {
    for (;;) {
      const sent = token
      const reply = await send(path, {
        method,
        signal,
        cache: 'no-store',
        headers: {
          ...headers,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(sent !== undefined && { authorization: `Bearer ${sent}` }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      })
      if (reply.ok || accepted.includes(reply.status)) return reply
      if (reply.status !== 401) throw await errorOf(reply)
      // Another request may have obtained a new token in the meantime.
      if (token === sent) await (pendingToken ??= newToken(sent !== undefined))
    }
  }

  return {
    open,
    /** Resolves with the JSON of the reply. */
    async ask(path, options = {}) {
      const reply = await open(path, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options })
      return await reply.json()
    },
    hasToken: () => token !== undefined,
    forgetToken() {
      token = undefined
      storeToken(undefined)
    },
  }
}

async function send(path, init) {
  try {
    return await fetch(path, init)
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new ApiError(0, 'The service is not responding.')
  }
}

async function errorOf(reply) {
  const body = await reply.json().catch(() => ({}))
  const { title, detail, error } = body
  const message = [title ?? error, detail].filter((text) => typeof text === 'string').join(': ')
  return new ApiError(reply.status, message === '' ? `The service answered ${reply.status}.` : message)
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

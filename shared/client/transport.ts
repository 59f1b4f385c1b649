import { parseJson } from '../json.ts'
import type { ApiProblem } from '../contract/api-types.ts'
import {
  CacheUnavailableError,
  DeviceCacheError,
  errorOfAnswer,
  TimeoutError,
  UnexpectedAnswerError,
} from './errors.ts'
import { linkAbort, untilAborted, waitFor, type LinkedAbort } from '../abort.ts'
import { isProblem } from './problem-type.ts'
import { problemShape, type ResponseShape } from './response-shapes.ts'
import { parseRetryAfter, retryDelayMs, type RetryPolicy } from './retry.ts'
import { readToken, type TokenSource } from './token.ts'

export type ApiCall = {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Relative to the base URL, without a leading slash, with percent-encoded segments. */
  readonly path: string
  readonly query?: URLSearchParams
  /** Sent as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** A 404 `not_found` is a result rather than an error. */
  readonly mayBeMissing?: boolean
  /** Aborts the call, even while it waits for a retry. The call rejects with the signal's reason. */
  readonly signal: AbortSignal
  /** Milliseconds for one attempt, if the client's own limit is shorter. */
  readonly timeoutMs?: number
  /** Called when an attempt has failed with a transient error; a retry may follow. */
  readonly attemptFailed?: (error: DeviceCacheError) => void
}

export type TransportOptions = RetryPolicy & {
  readonly baseUrl: URL
  readonly token: TokenSource
  /** Milliseconds for one attempt, including the token and the whole response body. */
  readonly timeoutMs: number
  readonly fetch: typeof globalThis.fetch
  readonly random: () => number
}

export type TransportCounts = { requests: number; retries: number }

/** HTTP requests to the API, with deadlines and retries. Every failure becomes a DeviceCacheError. */
export class ApiTransport {
  readonly counts: TransportCounts = { requests: 0, retries: 0 }
  readonly #options: TransportOptions
  /** The signals of the attempts that wait for a token. */
  readonly #tokensAwaited = new WeakSet<AbortSignal>()

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /**
   * @returns the validated JSON of the response; undefined for a 404 if `mayBeMissing`.
   * @throws DeviceCacheError, or the signal's reason.
   */
  async requestJson<T>(call: ApiCall, shape: ResponseShape<T>): Promise<T | undefined> {
    return await this.#repeatedly(call, async (response) => {
      const json = parseJson(await response.text())
      try {
        return shape(json, '$')
      } catch (cause) {
        const message = `Unexpected response to ${call.path}: it does not match the API's schema`
        throw new UnexpectedAnswerError(message, { status: response.status, cause })
      }
    })
  }

  /** @returns false for a 404 if `mayBeMissing`. Rejects like `requestJson`. */
  async request(call: ApiCall): Promise<boolean> {
    const isDone = await this.#repeatedly(call, async (response) => {
      await response.text()
      return true
    })
    return isDone ?? false
  }

  /**
   * Opens an event stream, without retries. `timeoutMs` applies only until the response headers arrive. Rejects like
   * `requestJson`.
   */
  async openStream(call: ApiCall): Promise<ReadableStream<Uint8Array>> {
    // The signal stays linked, so that an abort of the call ends the stream.
    const body = await this.#inTime(call, linkAbort(call.signal), async (signal) => {
      const response = await this.#send(call, signal)
      const type = response?.headers.get('content-type') ?? ''
      return type.startsWith('text/event-stream') ? response?.body : undefined
    })
    if (body) return body
    throw new UnexpectedAnswerError(`Unexpected response to ${call.path}: it is not an event stream`)
  }

  async #repeatedly<T>(call: ApiCall, read: (response: Response) => Promise<T>): Promise<T | undefined> {
    for (let failures = 1; ; failures++) {
      const deadline = linkAbort(call.signal)
      try {
        return await this.#inTime(call, deadline, async (signal) => {
          const response = await this.#send(call, signal)
          return response === undefined ? undefined : await read(response)
        })
      } catch (error) {
        if (error instanceof DeviceCacheError && error.isTransient) call.attemptFailed?.(error)
        const delayMs = retryDelayMs(error, failures, this.#options.random(), this.#options)
        if (delayMs === undefined) throw error
        await waitFor(delayMs, call.signal)
        this.counts.retries++
      } finally {
        deadline.release()
      }
    }
  }

  async #inTime<T>(
    call: ApiCall,
    deadline: LinkedAbort,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { baseUrl } = this.#options
    const timeoutMs = Math.max(this.#options.timeoutMs, call.timeoutMs ?? 0)
    const { signal } = deadline
    const timer = setTimeout(() => {
      const awaited = this.#tokensAwaited.has(deadline.signal)
        ? 'No token'
        : `No response from ${baseUrl.host}`
      deadline.abort(new TimeoutError(`${awaited} within ${timeoutMs} ms`))
    }, timeoutMs)
    try {
      signal.throwIfAborted()
      // The function `token` knows no signal, and a given `fetch` may ignore it.
      return await untilAborted(work(signal), signal)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof DeviceCacheError) throw error
      throw new CacheUnavailableError(`No response from ${baseUrl.host}`, { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Resolves with undefined for a 404 if `mayBeMissing`. */
  async #send(call: ApiCall, signal: AbortSignal): Promise<Response | undefined> {
    const token = await this.#token(signal)
    let response = await this.#fetch(call, token, signal)
    if (response.status === 401) {
      // The token may have expired since the function returned it.
      const renewed = await this.#token(signal)
      if (renewed !== undefined && renewed !== token) {
        await response.text()
        response = await this.#fetch(call, renewed, signal)
      }
    }
    if (response.ok) return response
    const problem = parseProblem(await response.text())
    if (call.mayBeMissing === true && response.status === 404 && isProblem(problem, 'not_found')) {
      return undefined
    }
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), Date.now())
    throw errorOfAnswer(response.status, { problem, retryAfterMs })
  }

  async #token(signal: AbortSignal): Promise<string | undefined> {
    this.#tokensAwaited.add(signal)
    try {
      return await readToken(this.#options.token)
    } finally {
      this.#tokensAwaited.delete(signal)
    }
  }

  async #fetch(call: ApiCall, token: string | undefined, signal: AbortSignal): Promise<Response> {
    signal.throwIfAborted()
    const { baseUrl, fetch } = this.#options
    const url = new URL(call.path, baseUrl)
    if (call.query !== undefined) url.search = call.query.toString()
    this.counts.requests++
    return await fetch(url, {
      method: call.method,
      headers: {
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(call.body !== undefined && { 'content-type': 'application/json' }),
        ...call.headers,
      },
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
      cache: 'no-store',
      signal,
    })
  }
}

function parseProblem(text: string): ApiProblem | undefined {
  try {
    return problemShape(parseJson(text), '$')
  } catch {
    return undefined
  }
}

import type { z } from 'zod'
import { problemSchema, type ApiProblem } from '../contract/api-schemas.ts'
import { isProblem } from '../contract/problems.ts'
import {
  CacheUnavailableError,
  DeviceCacheError,
  errorOfAnswer,
  TimeoutError,
  UnexpectedAnswerError,
} from './errors.ts'
import {
  linkAbort,
  parseRetryAfter,
  retryDelayMs,
  waitFor,
  type LinkedAbort,
  type RetryPolicy,
} from './retry.ts'

export type ApiCall = {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below the base URL, without a slash before it; its parts percent-encoded. */
  readonly path: string
  readonly query?: URLSearchParams
  /** Sent as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** 404 `not_found` is an answer, not a failure. */
  readonly mayBeMissing?: boolean
  /** Aborts the call, also while it waits to be tried again; the call rejects with its reason. */
  readonly signal: AbortSignal
  /** A try has failed in a way that may pass; another may follow. */
  readonly attemptFailed?: (error: DeviceCacheError) => void
}

export type TransportOptions = RetryPolicy & {
  readonly baseUrl: URL
  /** Asked before each try, so that a token may be replaced while we run. */
  readonly token: () => string | undefined | Promise<string | undefined>
  /** For one try, its whole body included. */
  readonly timeoutMs: number
  readonly fetch: typeof globalThis.fetch
  readonly random: () => number
}

export type TransportCounts = { requests: number; retries: number }

/** HTTP with this API: deadlines, tries, and every failure as a DeviceCacheError. */
export class ApiTransport {
  readonly counts: TransportCounts = { requests: 0, retries: 0 }
  readonly #options: TransportOptions

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /**
   * @returns the JSON of the answer, checked; undefined: it is missing, as it may be.
   * @throws DeviceCacheError, or the signal's reason.
   */
  async ask<T>(call: ApiCall, schema: z.ZodType<T>): Promise<T | undefined> {
    return await this.#repeatedly(call, async (response) => {
      const checked = schema.safeParse(parseJson(await response.text()))
      if (checked.success) return checked.data
      throw new UnexpectedAnswerError(`the answer to ${call.path} is not what the API says`, {
        status: response.status,
        cause: checked.error,
      })
    })
  }

  /** @returns whether it was there. Rejects as `ask` does. */
  async tell(call: ApiCall): Promise<boolean> {
    const isDone = await this.#repeatedly(call, async (response) => {
      await response.text()
      return true
    })
    return isDone ?? false
  }

  /** An answer without an end, tried once; `timeoutMs` is for its head alone. Rejects as `ask` does. */
  async open(call: ApiCall): Promise<ReadableStream<Uint8Array>> {
    // It stays linked: whoever aborts the call ends the stream.
    const body = await this.#inTime(linkAbort(call.signal), async (signal) => {
      const response = await this.#send(call, signal)
      const type = response?.headers.get('content-type') ?? ''
      return type.startsWith('text/event-stream') ? response?.body : undefined
    })
    if (body) return body
    throw new UnexpectedAnswerError(`the answer to ${call.path} is no stream of events`)
  }

  async #repeatedly<T>(call: ApiCall, read: (response: Response) => Promise<T>): Promise<T | undefined> {
    for (let failures = 1; ; failures++) {
      const deadline = linkAbort(call.signal)
      try {
        return await this.#inTime(deadline, async (signal) => {
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

  async #inTime<T>(deadline: LinkedAbort, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { baseUrl, timeoutMs } = this.#options
    const { signal } = deadline
    const timer = setTimeout(() => {
      deadline.abort(new TimeoutError(`no answer from ${baseUrl.host} within ${timeoutMs} ms`))
    }, timeoutMs)
    try {
      signal.throwIfAborted()
      return await work(signal)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof DeviceCacheError) throw error
      throw new CacheUnavailableError(`no answer from ${baseUrl.host}`, { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }

  /** undefined: it is missing, as it may be. */
  async #send(call: ApiCall, signal: AbortSignal): Promise<Response | undefined> {
    const { baseUrl, fetch, token: askToken } = this.#options
    const token = await askToken()
    const url = new URL(call.path, baseUrl)
    if (call.query !== undefined) url.search = call.query.toString()
    this.counts.requests++
    const response = await fetch(url, {
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
    if (response.ok) return response
    const problem = parseProblem(await response.text())
    if (call.mayBeMissing === true && response.status === 404 && isProblem(problem, 'not_found')) {
      return undefined
    }
    const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), Date.now())
    throw errorOfAnswer(response.status, { problem, retryAfterMs })
  }
}

function parseProblem(text: string): ApiProblem | undefined {
  const checked = problemSchema.safeParse(parseJson(text))
  return checked.success ? checked.data : undefined
}

/** undefined: it is none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

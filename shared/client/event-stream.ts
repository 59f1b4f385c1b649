import { fullJitterMs } from '../backoff.ts'
import { parseJson } from '../json.ts'
import { linkAbort, untilAborted, waitFor, type LinkedAbort } from '../abort.ts'
import {
  CacheUnavailableError,
  DeviceCacheError,
  InvalidRequestError,
  TimeoutError,
  UnexpectedAnswerError,
} from './errors.ts'
import { EventStreamParser, type ServerSentEvent } from './event-stream-parser.ts'
import { deviceEventShape, resetEventShape, updateEventShape, type ResponseShape } from './response-shapes.ts'

/** The two event streams. */
export type EventStreamName = 'device' | 'update'

/** `id` is the position in the streams after the event: a watch that resumes there receives the next event. */
export type WatchEvent =
  /** A hint that devices have changed or were deleted; `more` is the number of further ones that are not named. */
  | {
      readonly kind: 'device'
      readonly change: 'changed' | 'deleted'
      readonly deviceIds: readonly string[]
      readonly more: number
      readonly id: string
    }
  /** A key-value was set. If `isTooLarge`, `values` is undefined: call `state(type)`. */
  | {
      readonly kind: 'update'
      readonly type: string
      readonly updated: unknown
      readonly valid: unknown
      readonly values: unknown
      readonly isTooLarge: boolean
      readonly id: string
    }
  /** Events of these streams may have been missed: read the devices or the state again. */
  | {
      readonly kind: 'reset'
      readonly streams: readonly string[]
      readonly reason: string
      readonly id: string
    }

/** The state of a watch's connection, which its events do not show. */
export type WatchConnection =
  /** All earlier events have been delivered; from now on, events arrive as they happen. */
  | { readonly kind: 'live' }
  /** The connection was lost; the watch reconnects after `retryInMs`. */
  | { readonly kind: 'interrupted'; readonly error: DeviceCacheError; readonly retryInMs: number }

export type EventStreamOptions = {
  /** Opens one connection. */
  readonly open: (lastEventId: string | undefined, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>
  /** undefined: only future events. */
  readonly lastEventId: string | undefined
  /** Time without data, not even a ping, after which the connection counts as lost. */
  readonly silenceMs: number
  readonly onConnection: (connection: WatchConnection) => void
  readonly signal: AbortSignal
  readonly random: () => number
}

const LONGEST_WAIT_MS = 30_000
/** Used until the server sends a `retry` field. */
const FIRST_WAIT_MS = 1_000
const MAX_EVENT_CHARACTERS = 1024 * 1024

/**
 * Iterates over events across any number of connections. Each connection resumes where the previous one ended, so that
 * nothing is lost unless a `reset` says so. Nothing is read while the consumer does not request the next event; the server
 * disconnects a reader that is too slow, which is handled like any other interruption.
 *
 * Rejects with the signal's reason, or with a DeviceCacheError that a retry would not fix. Once a connection has worked,
 * only an invalid request is such an error: a token that is being renewed, or a proxy without a backend, which answers 404,
 * is an interruption.
 */
export async function* followEvents(options: EventStreamOptions): AsyncGenerator<WatchEvent, never> {
  const { onConnection, open, random, signal, silenceMs } = options
  let { lastEventId } = options
  let firstWaitMs = FIRST_WAIT_MS
  let hasConnected = false
  for (let failures = 1; ; failures++) {
    const connection = linkAbort(signal)
    let interruption: DeviceCacheError = new CacheUnavailableError('The server closed the event stream')
    let isOpening = true
    try {
      const body = await open(lastEventId, connection.signal)
      isOpening = false
      hasConnected = true
      const messages = readMessages(body, silenceMs, connection, (ms) => (firstWaitMs = ms))
      for await (const message of messages) {
        failures = 0
        const id = message.id ?? lastEventId ?? ''
        const event = parseWatchEvent(message, id)
        lastEventId = id
        // The server sends the first ping as soon as it has sent all earlier events.
        if (message.event === 'ping') onConnection({ kind: 'live' })
        if (event !== undefined) yield event
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      interruption = asInterruption(connection.signal.aborted ? connection.signal.reason : error)
    } finally {
      connection.release()
      connection.abort()
    }
    const mayEnd =
      interruption.isTransient ||
      interruption instanceof CacheUnavailableError ||
      (isOpening && hasConnected && !(interruption instanceof InvalidRequestError))
    if (!mayEnd) throw interruption
    const jitterMs = fullJitterMs(Math.max(failures, 1), random(), {
      firstMs: firstWaitMs,
      longestMs: LONGEST_WAIT_MS,
    })
    const retryInMs = (interruption.retryAfterMs ?? 0) + jitterMs
    onConnection({ kind: 'interrupted', error: interruption, retryInMs })
    await waitFor(retryInMs, signal)
  }
}

function asInterruption(thrown: unknown): DeviceCacheError {
  if (thrown instanceof DeviceCacheError) return thrown
  return new CacheUnavailableError('The event stream was interrupted', { cause: thrown })
}

async function* readMessages(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
  connection: LinkedAbort,
  retryIn: (ms: number) => void,
): AsyncGenerator<ServerSentEvent> {
  const parser = new EventStreamParser(MAX_EVENT_CHARACTERS, retryIn)
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    while (true) {
      const timer = setTimeout(
        () => connection.abort(new TimeoutError(`No data on the event stream for ${silenceMs} ms`)),
        silenceMs,
      )
      const { done, value } = await untilAborted(reader.read(), connection.signal).finally(() =>
        clearTimeout(timer),
      )
      if (done) return
      yield* parser.feed(decoder.decode(value, { stream: true }))
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

/** @returns undefined: a ping, or a kind that is newer than we are. @throws UnexpectedAnswerError */
export function parseWatchEvent(
  { data, event }: Pick<ServerSentEvent, 'data' | 'event'>,
  id: string,
): WatchEvent | undefined {
  switch (event) {
    case 'device':
      return { kind: 'device', ...parseData(deviceEventShape, event, data), id }
    case 'update':
      return { kind: 'update', ...parseData(updateEventShape, event, data), id }
    case 'reset':
      return { kind: 'reset', ...parseData(resetEventShape, event, data), id }
    default:
      return undefined
  }
}

function parseData<T>(shape: ResponseShape<T>, event: string, data: string): T {
  try {
    return shape(parseJson(data), '$')
  } catch (cause) {
    throw new UnexpectedAnswerError(`Unexpected ${event} event: it does not match the API's schema`, {
      cause,
    })
  }
}

import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { z } from 'zod'
import { deviceEventSchema, resetEventSchema, updateEventSchema } from '../contract/api-schemas.ts'
import { fullJitterMs } from '../backoff.ts'
import { CacheUnavailableError, DeviceCacheError, TimeoutError, UnexpectedAnswerError } from './errors.ts'
import { linkAbort, waitFor } from './retry.ts'

/** Which of the two streams of events. */
export type EventStreamName = 'device' | 'update'

/** `id` is the place in the streams after the event: whoever goes on from there gets the next one. */
export type WatchEvent =
  /** Some devices have changed, or were deleted; `more` of them are not named. A hint: ask for what they are. */
  | {
      readonly kind: 'device'
      readonly change: 'changed' | 'deleted'
      readonly deviceIds: readonly string[]
      readonly more: number
      readonly id: string
    }
  /** A key-value was set. Too large to be sent to everyone: `values` is undefined, ask `state(type)`. */
  | {
      readonly kind: 'update'
      readonly type: string
      readonly updated: unknown
      readonly valid: unknown
      readonly values: unknown
      readonly isTooLarge: boolean
      readonly id: string
    }
  /** Something may have been missed in these streams: read the devices, or the state, anew. */
  | {
      readonly kind: 'reset'
      readonly streams: readonly string[]
      readonly reason: string
      readonly id: string
    }

/** How it stands with the connection; the events themselves do not show it. */
export type WatchConnection =
  /** From here on events come as they happen; those since the place that was asked for have come. */
  | { readonly kind: 'live' }
  | { readonly kind: 'interrupted'; readonly error: DeviceCacheError; readonly retryInMs: number }

export type EventStreamOptions = {
  /** One connection. */
  readonly open: (lastEventId: string | undefined, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>
  /** undefined: from now on. */
  readonly lastEventId: string | undefined
  /** Nothing for so long, not even a ping: the connection is dead. */
  readonly silenceMs: number
  readonly onConnection: (connection: WatchConnection) => void
  readonly signal: AbortSignal
  readonly random: () => number
}

const LONGEST_WAIT_MS = 30_000
/** Until the server has said how long its clients should wait. */
const FIRST_WAIT_MS = 1_000
const MAX_EVENT_CHARACTERS = 1024 * 1024

/**
 * The events, over as many connections as it takes: each goes on where the one before ended, so that nothing is
 * lost unless a `reset` says so. While nobody asks for the next event nothing is read, and the server drops a
 * reader that is too slow; that is an interruption like any other.
 *
 * Rejects with the signal's reason, or a DeviceCacheError that trying again would not fix.
 */
export async function* followEvents(options: EventStreamOptions): AsyncGenerator<WatchEvent, never> {
  const { onConnection, open, random, signal, silenceMs } = options
  let { lastEventId } = options
  let firstWaitMs = FIRST_WAIT_MS
  for (let failures = 1; ; failures++) {
    const connection = linkAbort(signal)
    let interruption: DeviceCacheError = new CacheUnavailableError('the server has ended the stream')
    try {
      const body = await open(lastEventId, connection.signal)
      const messages = readMessages(body, silenceMs, connection.abort, (ms) => (firstWaitMs = ms))
      for await (const message of messages) {
        failures = 0
        const id = message.id ?? lastEventId ?? ''
        const event = parseWatchEvent(message, id)
        lastEventId = id
        // The server sends one as soon as all that came before has been sent.
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
    if (!interruption.isTransient && !(interruption instanceof CacheUnavailableError)) throw interruption
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
  return new CacheUnavailableError('the stream of events broke', { cause: thrown })
}

async function* readMessages(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
  abort: (reason: unknown) => void,
  retryIn: (ms: number) => void,
): AsyncGenerator<EventSourceMessage> {
  let arrived: EventSourceMessage[] = []
  const parser = createParser({
    onEvent: (message) => arrived.push(message),
    onRetry: retryIn,
    maxBufferSize: MAX_EVENT_CHARACTERS,
  })
  const decoder = new TextDecoder()
  const reader = body.getReader()
  while (true) {
    const timer = setTimeout(() => abort(new TimeoutError(`no event for ${silenceMs} ms`)), silenceMs)
    const { done, value } = await reader.read().finally(() => clearTimeout(timer))
    if (done) return
    parser.feed(decoder.decode(value, { stream: true }))
    const messages = arrived
    arrived = []
    yield* messages
  }
}

/** @returns undefined: a ping, or a kind that is newer than we are. @throws UnexpectedAnswerError */
export function parseWatchEvent({ data, event }: EventSourceMessage, id: string): WatchEvent | undefined {
  switch (event) {
    case 'device': {
      const { change, device_ids: deviceIds, more } = parseData(deviceEventSchema, event, data)
      return { kind: 'device', change, deviceIds, more, id }
    }
    case 'update': {
      const { too_large, type, updated, valid, values } = parseData(updateEventSchema, event, data)
      return { kind: 'update', type, updated, valid, values, isTooLarge: too_large === true, id }
    }
    case 'reset':
      return { kind: 'reset', ...parseData(resetEventSchema, event, data), id }
    default:
      return undefined
  }
}

function parseData<T>(schema: z.ZodType<T>, event: string, data: string): T {
  let json: unknown
  try {
    json = JSON.parse(data)
  } catch {
    json = undefined
  }
  const checked = schema.safeParse(json)
  if (checked.success) return checked.data
  throw new UnexpectedAnswerError(`an event ${event} is not what the API says`, { cause: checked.error })
}

import { createParser } from 'eventsource-parser'
import { eventually } from '../eventually.ts'

export type SseEvent = { readonly id: string | undefined; readonly event: string; readonly data: unknown }

/** A client of an event stream that keeps all received events. */
export type SseClient = {
  readonly status: number
  readonly headers: Headers
  readonly events: readonly SseEvent[]
  /** The events without pings. */
  news(): SseEvent[]
  readonly lastId: string | undefined
  readonly isEnded: boolean
  /** Waits until it has received `count` events other than pings. */
  waitForNews(count: number): Promise<SseEvent[]>
  close(): void
}

/** Resolves when it has received the response headers and, if it is a stream, the first event. */
export async function openSse(url: string, lastEventId?: string): Promise<SseClient> {
  const abort = new AbortController()
  const response = await fetch(url, {
    signal: abort.signal,
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  })
  const events: SseEvent[] = []
  let isEnded = false
  const parser = createParser({
    onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data: JSON.parse(data) }),
  })
  const isStream = response.headers.get('content-type') === 'text/event-stream'
  const readAll = async () => {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    for (let chunk = await reader?.read(); chunk !== undefined && !chunk.done; chunk = await reader?.read()) {
      parser.feed(chunk.value)
    }
  }
  if (isStream) {
    void readAll()
      .catch(() => undefined)
      .then(() => (isEnded = true))
  } else {
    await response.text()
    isEnded = true
  }
  const client: SseClient = {
    status: response.status,
    headers: response.headers,
    events,
    news: () => events.filter(({ event }) => event !== 'ping'),
    get lastId() {
      return events.findLast(({ id }) => id !== undefined)?.id
    },
    get isEnded() {
      return isEnded
    },
    waitForNews: (count) =>
      eventually(
        () => {
          const news = client.news()
          if (news.length < count)
            throw new Error(`${news.length} of ${count}: ${JSON.stringify(news.slice(-3))}`)
          return news
        },
        { everyMs: 10 },
      ),
    close: () => abort.abort(),
  }
  if (isStream) {
    await eventually(
      () => {
        if (events.length === 0 && !isEnded) throw new Error('no event yet')
      },
      { everyMs: 5 },
    )
  }
  return client
}

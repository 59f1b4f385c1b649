const SILENCE_MS = 45_000
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 15_000

/**
 * Follows server-sent events indefinitely and resumes after a lost connection. EventSource would not do: it cannot send
 * a token.
 *
 * @param api see api.js
 * @param received called with each `{ type, data }`
 * @param stateChanged called with 'live' or 'lost'
 */
export async function followEvents(api, path, { received, stateChanged }) {
  let lastId
  let retryMs = FIRST_RETRY_MS
  for (;;) {
    const connection = new AbortController()
    let watchdog
    const restartWatchdog = () => {
      clearTimeout(watchdog)
      watchdog = setTimeout(() => connection.abort(), SILENCE_MS)
    }
    try {
      restartWatchdog()
      const reply = await api.open(path, {
        signal: connection.signal,
        headers: { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) },
      })
      stateChanged('live')
      await readEvents(reply.body, (event) => {
        restartWatchdog()
        retryMs = FIRST_RETRY_MS
        if (event.id !== undefined) lastId = event.id
        try {
          received(event)
        } catch {
          // An event of a later release that this page cannot read must not end the stream.
        }
      })
    } catch {
      // The banner and the Live changes tile show the loss, and the API tile its cause.
    } finally {
      clearTimeout(watchdog)
    }
    stateChanged('lost')
    await new Promise((resolve) => setTimeout(resolve, retryMs * (0.5 + Math.random() / 2)))
    retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2)
  }
}

/** Calls `received` with every event of a text/event-stream body until the body ends. */
async function readEvents(body, received) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let event = { type: 'message', data: [] }
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) received({ ...event, data: event.data.join('\n') })
        event = { type: 'message', data: [] }
        continue
      }
      const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line)
      if (name === 'event') event.type = text
      else if (name === 'data') event.data.push(text)
      else if (name === 'id') event.id = text
    }
  }
}

export type ServerSentEvent = {
  /** The `event` field; undefined: a message without one. */
  readonly event: string | undefined
  readonly data: string
  /** The last `id` of the stream so far; undefined: there was none. */
  readonly id: string | undefined
}

/**
 * Parses server-sent events from text that arrives in any pieces.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class EventStreamParser {
  readonly #maxCharacters: number
  readonly #onRetry: (ms: number) => void
  /** The beginning of a line whose end has not arrived. */
  #unended = ''
  #endsWithCarriageReturn = false
  #event: string | undefined
  #data: string[] = []
  #dataCharacters = 0
  #id: string | undefined

  /**
   * @param maxCharacters bounds the memory that an event without end can take.
   * @param onRetry called with the time that the server asks clients to wait before they reconnect.
   */
  constructor(maxCharacters: number, onRetry: (ms: number) => void) {
    this.#maxCharacters = maxCharacters
    this.#onRetry = onRetry
  }

  /** @returns the events that this text completes. @throws RangeError if an event is too large. */
  feed(text: string): ServerSentEvent[] {
    const events: ServerSentEvent[] = []
    if (text === '') return events
    // CR LF is one end of a line, even if it arrives in two pieces.
    let from = this.#endsWithCarriageReturn && text.startsWith('\n') ? 1 : 0
    this.#endsWithCarriageReturn = text.endsWith('\r')
    const lineEnd = /\r\n|\r|\n/g
    lineEnd.lastIndex = from
    for (let end = lineEnd.exec(text); end !== null; end = lineEnd.exec(text)) {
      const line = this.#unended + text.slice(from, end.index)
      this.#unended = ''
      from = lineEnd.lastIndex
      if (line !== '') this.#readField(line)
      else this.#endEvent(events)
    }
    this.#unended += text.slice(from)
    this.#assertSmall(this.#unended.length)
    return events
  }

  #readField(line: string): void {
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
    if (name === 'data') {
      this.#dataCharacters += value.length + 1
      this.#assertSmall(0)
      this.#data.push(value)
    } else if (name === 'event') this.#event = value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) this.#onRetry(Number(value))
  }

  #endEvent(events: ServerSentEvent[]): void {
    if (this.#data.length > 0) {
      events.push({ event: this.#event, data: this.#data.join('\n'), id: this.#id })
    }
    this.#event = undefined
    this.#data = []
    this.#dataCharacters = 0
  }

  #assertSmall(unended: number): void {
    if (this.#dataCharacters + unended > this.#maxCharacters)
      throw new RangeError(`an event has more than ${this.#maxCharacters} characters`)
  }
}

import { createParser } from 'eventsource-parser'
import { z } from 'zod'

const dataSchemas = {
  update: z.object({
    type: z.string(),
    updated: z.unknown(),
    valid: z.unknown(),
    values: z.unknown(),
  }),
  device: z.object({
    change: z.enum(['changed', 'deleted']),
    device_ids: z.array(z.string()),
    more: z.number(),
  }),
  reset: z.object({ streams: z.array(z.string()), reason: z.string() }),
} as const

/** What happened, as the API tells it: http/event-routes.ts says what each means. */
export type WatchEvent = { readonly id: string } & (
  | ({ readonly event: 'update' } & z.output<typeof dataSchemas.update>)
  | ({ readonly event: 'device' } & z.output<typeof dataSchemas.device>)
  | ({ readonly event: 'reset' } & z.output<typeof dataSchemas.reset>)
)

export type FrameParser = {
  /** Some text of a stream, cut anywhere. */
  feed(text: string): void
  /** Of the last event, a ping as well: where to go on. */
  readonly lastId: string | undefined
}

/** Reads the frames of core/event-frames.ts, as they come from an API. What it does not know it leaves out. */
export function createFrameParser(onEvent: (event: WatchEvent) => void): FrameParser {
  let lastId: string | undefined
  const parser = createParser({
    onEvent({ id, event, data }) {
      if (id !== undefined) lastId = id
      const parsed = parseEvent(event ?? '', lastId ?? '', data)
      if (parsed !== undefined) onEvent(parsed)
    },
  })
  return {
    feed: (text) => parser.feed(text),
    get lastId() {
      return lastId
    },
  }
}

function parseEvent(event: string, id: string, text: string): WatchEvent | undefined {
  const data: unknown = JSON.parse(text)
  switch (event) {
    case 'update': {
      const update = dataSchemas.update.safeParse(data).data
      return update && { event, id, ...update }
    }
    case 'device': {
      const device = dataSchemas.device.safeParse(data).data
      return device && { event, id, ...device }
    }
    case 'reset': {
      const reset = dataSchemas.reset.safeParse(data).data
      return reset && { event, id, ...reset }
    }
    default:
      return undefined
  }
}

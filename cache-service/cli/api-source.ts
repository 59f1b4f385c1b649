import { z } from 'zod'
import { workerReportSchema } from '../core/worker-report.ts'
import { lookupSchema, pageSchema } from '../../shared/api-schemas.ts'
import { statsSchema } from '../http/redis-service-routes.ts'
import { sleep } from '../lifecycle/sleep.ts'
import type { ApiClient, ApiRequest } from './api-client.ts'
import { CliError } from './cli-error.ts'
import type { DeviceSource, WatchFilter } from './device-source.ts'
import { EXIT } from './exit-codes.ts'
import { createOutage } from './outage.ts'
import type { Session } from './session.ts'
import { createFrameParser, type WatchEvent } from './watch-events.ts'

const RECONNECT_AFTER_MS = 1_000
/** The API sends a ping every 15 s. */
const SILENCE_MS = 45_000

/** The cache as an API serves it. */
export function createApiSource(session: Session, client: ApiClient): DeviceSource {
  async function read<T>(request: ApiRequest, schema: z.ZodType<T>): Promise<T> {
    const response = await client.ask(request)
    const answer = schema.safeParse(await response.json().catch(() => undefined))
    if (answer.success) return answer.data
    const message = `${client.url} does not answer as our API does: check --api, and that both are of one release`
    throw new CliError(EXIT.failure, message, answer.error)
  }
  const readWorkers = async () =>
    (await read({ path: '/api/workers' }, z.object({ workers: z.array(workerReportSchema) }))).workers

  return {
    async page(cursor, limit, idPrefix) {
      const query = new URLSearchParams({
        limit: String(limit),
        match: idPrefix,
        ...(cursor !== undefined && { cursor }),
      })
      const { devices, errors, next_cursor } = await read({ path: `/api/devices?${query}` }, pageSchema)
      return { devices, damaged: reasonsOf(errors ?? {}), next: next_cursor ?? undefined }
    },

    async lookup(ids) {
      const request = { path: '/api/devices/lookup', body: { ids: [...new Set(ids)] } }
      const { found, errors, complete } = await read(request, lookupSchema)
      const damaged = Object.entries(errors).filter(([, { type }]) => type !== 'invalid_device_id')
      return {
        found: new Map(Object.entries(found)),
        damaged: reasonsOf(Object.fromEntries(damaged)),
        isComplete: complete,
      }
    },

    async countDevices() {
      const counts = (await readWorkers()).flatMap(({ devices }) => devices ?? [])
      return counts.length === 0 ? undefined : Math.max(...counts)
    },
    stats: () => read({ path: '/stats' }, statsSchema),
    workers: readWorkers,
    watch: (filter, stop) => watchEvents(session, client, filter, stop),
  }
}

/** Server-sent events; after a lost connection from the last one on. What is refused at first is refused for good. */
async function* watchEvents(
  session: Session,
  client: ApiClient,
  filter: WatchFilter,
  stop: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const query = new URLSearchParams({ events: filter.streams.join() })
  for (const id of filter.deviceIds) query.append('device', id)
  for (const type of filter.updateTypes) query.append('update_type', type)
  const arrived: WatchEvent[] = []
  const parser = createFrameParser((event) => arrived.push(event))
  let hasWorked = false
  const outage = createOutage(session, 'the API')
  while (!stop.aborted) {
    try {
      const headers = parser.lastId === undefined ? {} : { 'last-event-id': parser.lastId }
      const response = await client.ask({ path: `/api/events?${query}`, headers, isStream: true })
      if (!hasWorked) filter.onStart()
      hasWorked = true
      outage.hasEnded()
      for await (const text of textsOf(response)) {
        parser.feed(text)
        yield* arrived.splice(0)
      }
      outage.failed(new Error('it ended the stream'))
    } catch (error) {
      if (stop.aborted) return
      if (!hasWorked || (error instanceof CliError && error.exitCode === EXIT.refused)) throw error
      outage.failed(error)
    }
    await sleep(RECONNECT_AFTER_MS, stop)
  }
}

async function* textsOf({ body }: Response): AsyncGenerator<string> {
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    while (true) {
      const silence = new AbortController()
      const timedOut = sleep(SILENCE_MS, silence.signal).then(() => undefined)
      const next = await Promise.race([reader.read(), timedOut])
      silence.abort()
      if (next === undefined) throw new Error(`nothing came for ${SILENCE_MS / 1000} s`)
      if (next.done) return
      yield next.value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

function reasonsOf(problems: Readonly<Record<string, { title: string; detail?: string | undefined }>>) {
  return new Map(Object.entries(problems).map(([id, { title, detail }]) => [id, detail ?? title]))
}

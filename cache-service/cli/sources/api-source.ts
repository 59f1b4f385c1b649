import { z } from 'zod'
import type { ApiProblem } from '../../../shared/contract/api-schemas.ts'
import { ApiTransport } from '../../../shared/client/transport.ts'
import {
  CacheUnavailableError,
  CorruptDeviceError,
  DeviceCacheError,
  ForbiddenError,
  TimeoutError,
  UnauthorizedError,
  UnexpectedAnswerError,
} from '../../../shared/client/errors.ts'
import { readClientOptions } from '../../../shared/client/options.ts'
import {
  DeviceCacheClient,
  type DevicePage,
  type SearchOptions,
  type WatchEvent,
} from '../../../shared/client/client.ts'
import { messageOf } from '../../../shared/errors.ts'
import { eventTimeFromUs } from '../../core/event-time.ts'
import { sortText, type DeviceQuery } from '../../core/devices/device-query.ts'
import { lagReportSchema } from '../../core/workers/lag-report.ts'
import { workerReportSchema } from '../../core/workers/worker-report.ts'
import { serverStatsSchema } from '../../core/server-stats.ts'
import { CliError } from '../cli-error.ts'
import type { DeviceSource, SourcePage, WatchFilter } from './device-source.ts'
import { EXIT } from '../exit-codes.ts'
import type { ApiAddress } from '../global-options.ts'
import { createOutage } from './outage.ts'
import type { Session } from '../session.ts'
import { readTokenFile, tokenOption } from './token-file.ts'

/** A person is waiting: report an unreachable API soon, but wait as long as a busy API asks. */
const RETRY_OPTIONS = { timeoutMs: 10_000, retries: 2, longestRetryAfterMs: 60_000 }

const workersSchema = z.object({ workers: z.array(workerReportSchema) })
const lagSchema = z.object({ groups: z.array(lagReportSchema) })

/**
 * Reads the cache through an API.
 *
 * @throws CliError (usage) for an invalid token file.
 */
export function openApiSource(session: Session, { from, url }: ApiAddress): DeviceSource {
  const { stop } = session
  const token = readTokenFile(session)
  const options = { ...RETRY_OPTIONS, baseUrl: url, token }
  const client = new DeviceCacheClient(options)
  session.releases.push('client of the API', async () => client.close())
  const transport = new ApiTransport(readClientOptions(options))

  async function explainErrors<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (error) {
      throw stop.aborted ? error : failureOf(error, { from, url }, tokenOption(session), token !== undefined)
    }
  }
  async function* explainEach<T>(items: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
    try {
      for (;;) {
        const { done, value } = await explainErrors(items.next())
        if (done === true) return
        yield value
      }
    } finally {
      await items.return()
    }
  }
  async function read<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const attemptFailed = ({ message }: DeviceCacheError) => session.log.debug(`the API: ${message}`)
    const answer = await explainErrors(
      transport.requestJson({ method: 'GET', path, signal: stop, attemptFailed }, (json) =>
        schema.parse(json),
      ),
    )
    if (answer === undefined) throw new Error(`${path} replied 404`)
    return answer
  }
  const workers = async () => (await read('api/workers', workersSchema)).workers

  return {
    async *pages(match, pageSize) {
      for await (const page of explainEach(client.pages({ match, pageSize, signal: stop })))
        yield { devices: page.devices, ...reasonsOf(page) }
    },

    async *search(query, pageSize) {
      const pages = client.searchPages({ ...searchOptionsOf(query), pageSize, signal: stop })
      for await (const page of explainEach(pages)) {
        const { devices, total, truncated: isTruncated } = page
        yield { devices, ...reasonsOf(page), total, isTruncated }
      }
    },

    async lookup(ids) {
      const { complete, errors, found } = await explainErrors(client.lookup(ids, { signal: stop }))
      const corrupt = new Map<string, string>()
      const unavailable = new Map<string, string>()
      for (const [id, error] of errors) {
        const reason = reasonOf(error.problem) ?? error.message
        if (error instanceof CorruptDeviceError) corrupt.set(id, reason)
        if (error instanceof CacheUnavailableError) unavailable.set(id, reason)
      }
      return { found, corrupt, unavailable, isComplete: complete }
    },

    remove: (id) => explainErrors(client.remove(id, { signal: stop })),
    async state(type) {
      const snapshot = await explainErrors(
        type === undefined ? client.state({ signal: stop }) : client.state(type, { signal: stop }),
      )
      return snapshot?.values ?? new Map()
    },
    async countDevices() {
      const counts = (await workers()).flatMap(({ devices }) => devices ?? [])
      return counts.length === 0 ? undefined : Math.max(...counts)
    },
    stats: () => read('stats', serverStatsSchema),
    workers,
    lagReports: async () => (await read('api/lag', lagSchema)).groups,
    watch: (filter) => explainEach(watchEvents(session, client, filter)),
  }
}

/** Reconnects after a lost connection, but fails if the first connection is refused or impossible. */
async function* watchEvents(
  session: Session,
  client: DeviceCacheClient,
  { deviceIds, onStart, streams, updateTypes }: WatchFilter,
): AsyncGenerator<WatchEvent, void> {
  const failed = new AbortController()
  const outage = createOutage(session, 'the API')
  let hasConnected = false
  yield* client.watch({
    events: streams,
    devices: deviceIds,
    updateTypes,
    signal: AbortSignal.any([session.stop, failed.signal]),
    onConnection(connection) {
      if (connection.kind === 'live') {
        if (!hasConnected) onStart()
        hasConnected = true
        outage.ended()
      } else if (hasConnected) outage.failed(connection.error)
      else failed.abort(connection.error)
    },
  })
}

/** Turns an error of the client into one that says what to check. */
function failureOf(error: unknown, { from, url }: ApiAddress, tokenFrom: string, hasToken: boolean): unknown {
  if (!(error instanceof DeviceCacheError)) return error
  const { problem, status } = error
  const detail = reasonOf(problem) ?? (status === undefined ? causeOf(error) : `status ${status}`)
  if (error instanceof UnauthorizedError) {
    const refusal = hasToken ? 'rejects the token' : 'requires a token'
    return new CliError(EXIT.refused, `the API ${refusal} (${detail}): check ${tokenFrom}`, error)
  }
  if (error instanceof ForbiddenError) {
    const message = `the API denies the request (${detail}): use a token with the required scope`
    return new CliError(EXIT.refused, message, error)
  }
  if (error instanceof TimeoutError || (error instanceof CacheUnavailableError && error.isTransient)) {
    // A proxy replies 502 or 504 while its API is down.
    const message =
      status === undefined
        ? `the API at ${url} can't be reached (${detail}): check ${from}`
        : `the API at ${url} is unavailable: ${detail}`
    return new CliError(EXIT.unreachable, message, error)
  }
  if (error instanceof UnexpectedAnswerError && problem === undefined) {
    const message = `${url} does not reply as the device cache API (${error.message}): check ${from}, and that both have the same version`
    return new CliError(EXIT.failure, message, error)
  }
  return new CliError(EXIT.failure, `the API at ${url} replied: ${detail}`, error)
}

function searchOptionsOf(query: DeviceQuery): SearchOptions {
  const { contains, prefix, silentForS, sort, type, unit, updatedAfterUs, updatedBeforeUs } = query
  const timeOf = (us: number | undefined) => (us === undefined ? undefined : eventTimeFromUs(us).text)
  return {
    match: prefix,
    contains,
    type,
    unit,
    silentForS,
    updatedBefore: timeOf(updatedBeforeUs),
    updatedAfter: timeOf(updatedAfterUs),
    sort: sortText(sort),
  }
}

function reasonsOf({ errors }: DevicePage): Pick<SourcePage, 'corrupt' | 'unavailable'> {
  const corrupt = new Map<string, string>()
  const unavailable = new Map<string, string>()
  for (const [id, problem] of errors)
    (problem.type === 'redis_unavailable' ? unavailable : corrupt).set(id, reasonOf(problem))
  return { corrupt, unavailable }
}

function reasonOf(problem: ApiProblem): string
function reasonOf(problem: ApiProblem | undefined): string | undefined
function reasonOf(problem: ApiProblem | undefined): string | undefined {
  return problem?.detail ?? problem?.title
}

/** fetch puts the actual reason into the cause of its error, which is the cause of the client's error. */
function causeOf(error: Error): string {
  let innermost: Error = error
  while (innermost.cause instanceof Error) innermost = innermost.cause
  return messageOf(innermost)
}

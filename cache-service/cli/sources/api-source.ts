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
import { DeviceCacheClient, type WatchEvent } from '../../../shared/client/client.ts'
import { messageOf } from '../../../shared/errors.ts'
import { workerReportSchema } from '../../core/workers/worker-report.ts'
import { serverStatsSchema } from '../../core/server-stats.ts'
import { CliError, usageError } from '../cli-error.ts'
import type { DeviceSource, WatchFilter } from './device-source.ts'
import { EXIT } from '../exit-codes.ts'
import { createOutage } from './outage.ts'
import type { Session } from '../session.ts'

/** Somebody waits: an API that is away is told of soon, one that is busy gets the time that it asks for. */
const PATIENCE = { timeoutMs: 10_000, retries: 2, longestRetryAfterMs: 60_000 }

const workersSchema = z.object({ workers: z.array(workerReportSchema) })

/**
 * The cache as an API serves it: `--api` and `--token-file`.
 *
 * @throws CliError (usage) for a URL or a file that can't be meant.
 */
export function openApiSource(session: Session, url: string): DeviceSource {
  const { stop } = session
  const token = readToken(session)
  const options = { ...PATIENCE, baseUrl: url, token }
  const client = new DeviceCacheClient(options)
  session.releases.push('client of the API', async () => client.close())
  const transport = new ApiTransport(readClientOptions(options))

  async function told<T>(asking: Promise<T>): Promise<T> {
    try {
      return await asking
    } catch (error) {
      throw stop.aborted ? error : failureOf(error, url, token !== undefined)
    }
  }
  async function read<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const attemptFailed = ({ message }: DeviceCacheError) => session.log.debug(`the API: ${message}`)
    const answer = await told(
      transport.requestJson({ method: 'GET', path, signal: stop, attemptFailed }, schema),
    )
    if (answer === undefined) throw new Error(`${path} can't be missing`)
    return answer
  }
  const workers = async () => (await read('api/workers', workersSchema)).workers

  return {
    async *pages(match, pageSize) {
      const pages = client.pages({ match, pageSize, signal: stop })
      for (;;) {
        const { done, value } = await told(pages.next())
        if (done === true) return
        const damaged = [...value.errors].map(([id, problem]) => [id, reasonOf(problem)] as const)
        yield { devices: value.devices, damaged: new Map(damaged) }
      }
    },

    async lookup(ids) {
      const { complete, errors, found } = await told(client.lookup(ids, { signal: stop }))
      const damaged = [...errors].flatMap(([id, error]) =>
        error instanceof CorruptDeviceError ? [[id, reasonOf(error.problem) ?? error.message] as const] : [],
      )
      return { found, damaged: new Map(damaged), isComplete: complete }
    },

    async countDevices() {
      const counts = (await workers()).flatMap(({ devices }) => devices ?? [])
      return counts.length === 0 ? undefined : Math.max(...counts)
    },
    stats: () => read('stats', serverStatsSchema),
    workers,
    async *watch(filter) {
      const events = watchEvents(session, client, filter)
      for (;;) {
        const { done, value } = await told(events.next())
        if (done === true) return
        yield value
      }
    },
  }
}

/** Over lost connections, but what is refused, or away, at first is so for good. */
async function* watchEvents(
  session: Session,
  client: DeviceCacheClient,
  { deviceIds, onStart, streams, updateTypes }: WatchFilter,
): AsyncGenerator<WatchEvent, void> {
  const givenUp = new AbortController()
  const outage = createOutage(session, 'the API')
  let hasWorked = false
  yield* client.watch({
    events: streams,
    devices: deviceIds,
    updateTypes,
    signal: AbortSignal.any([session.stop, givenUp.signal]),
    onConnection(connection) {
      if (connection.kind === 'live') {
        if (!hasWorked) onStart()
        hasWorked = true
        outage.hasEnded()
      } else if (hasWorked) outage.failed(connection.error)
      else givenUp.abort(connection.error)
    },
  })
}

function readToken({ context, options: { tokenFile } }: Session): string | undefined {
  if (tokenFile === undefined) return undefined
  try {
    const token = context.readFile(tokenFile).trim()
    if (token !== '' && !/\s/.test(token)) return token
  } catch (error) {
    throw usageError(`the token file ${tokenFile} can't be read (${messageOf(error)}): check --token-file`)
  }
  throw usageError(`${tokenFile} does not hold one token: check --token-file`)
}

/** What the client threw, as it is told to people. */
function failureOf(error: unknown, url: string, hasToken: boolean): unknown {
  if (!(error instanceof DeviceCacheError)) return error
  const { problem, status } = error
  const said = reasonOf(problem) ?? (status === undefined ? causeOf(error) : `status ${status}`)
  if (error instanceof UnauthorizedError) {
    const told = hasToken ? 'refuses the token' : 'wants a token'
    return new CliError(EXIT.refused, `the API ${told} (${said}): check --token-file`, error)
  }
  if (error instanceof ForbiddenError) {
    const message = `the API refuses it (${said}): use a token with the scope that it needs`
    return new CliError(EXIT.refused, message, error)
  }
  if (error instanceof TimeoutError || (error instanceof CacheUnavailableError && error.isTransient)) {
    // 502 and 504 are what a proxy says before an API that is away.
    const message =
      status === undefined
        ? `the API at ${url} can't be reached (${said}): check --api`
        : `the API at ${url} can't answer now: ${said}`
    return new CliError(EXIT.unreachable, message, error)
  }
  if (error instanceof UnexpectedAnswerError && problem === undefined) {
    const message = `${url} does not answer as our API does (${error.message}): check --api, and that both are of one release`
    return new CliError(EXIT.failure, message, error)
  }
  return new CliError(EXIT.failure, `the API at ${url} answered: ${said}`, error)
}

function reasonOf(problem: ApiProblem): string
function reasonOf(problem: ApiProblem | undefined): string | undefined
function reasonOf(problem: ApiProblem | undefined): string | undefined {
  return problem?.detail ?? problem?.title
}

/** fetch hides what happened in the cause of its error, which is the cause of ours. */
function causeOf(error: Error): string {
  let innermost: Error = error
  while (innermost.cause instanceof Error) innermost = innermost.cause
  return messageOf(innermost)
}

import { z } from 'zod'
import { messageOf } from '../../shared/errors.ts'
import { sleep } from '../lifecycle/sleep.ts'
import { CliError, usageError } from './cli-error.ts'
import { EXIT } from './exit-codes.ts'
import type { Session } from './session.ts'

export type ApiRequest = {
  readonly path: string
  /** Sent as JSON, by POST. */
  readonly body?: unknown
  /** The answer has no end: no time limit once it has begun. */
  readonly isStream?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

export type ApiClient = {
  readonly url: string
  /** Resolves with an answer of status 2xx. @throws CliError */
  ask(request: ApiRequest): Promise<Response>
}

const ANSWERS_WITHIN_MS = 10_000
/** So often is asked again where the API says that it has too much to do. */
const MOST_ATTEMPTS = 5
const LONGEST_RETRY_AFTER_S = 60

const problemSchema = z.object({ type: z.string(), title: z.string(), detail: z.string().optional() })

/** `--api` and `--token-file`. */
export function createApiClient(session: Session, url: string): ApiClient {
  const { stop } = session
  const token = readToken(session)

  async function attempt({ path, body, headers, isStream }: ApiRequest): Promise<Response> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), ANSWERS_WITHIN_MS)
    try {
      const response = await fetch(url + path, {
        headers: {
          ...headers,
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
        signal: AbortSignal.any([stop, late.signal]),
      })
      if (isStream === true) return response
      const text = await response.arrayBuffer()
      const { status, headers: answered } = response
      return new Response(status === 204 || status === 304 ? null : text, { status, headers: answered })
    } catch (error) {
      if (stop.aborted) throw error
      const reason = late.signal.aborted ? `no answer within ${ANSWERS_WITHIN_MS / 1000} s` : reasonOf(error)
      throw new CliError(
        EXIT.unreachable,
        `the API at ${url} can't be reached (${reason}): check --api`,
        error,
      )
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    url,
    async ask(request) {
      for (let attempts = 1; ; attempts++) {
        const response = await attempt(request)
        if (response.ok) return response
        const retryAfterS = Number(response.headers.get('retry-after') ?? NaN)
        if (attempts === MOST_ATTEMPTS || !(retryAfterS >= 0) || ![429, 503].includes(response.status)) {
          throw await refusalOf(response, url, token !== undefined)
        }
        session.log.debug(`the API says ${response.status}: trying again in ${retryAfterS} s`)
        await sleep(Math.min(retryAfterS, LONGEST_RETRY_AFTER_S) * 1000, stop)
        stop.throwIfAborted()
      }
    },
  }
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

async function refusalOf(response: Response, url: string, hasToken: boolean): Promise<CliError> {
  const { status } = response
  const problem = problemSchema.safeParse(await response.json().catch(() => undefined)).data
  const said = problem === undefined ? `status ${status}` : (problem.detail ?? problem.title)
  if (status === 401) {
    const told = hasToken ? 'refuses the token' : 'wants a token'
    return new CliError(EXIT.refused, `the API ${told} (${said}): check --token-file`)
  }
  if (status === 403) {
    return new CliError(
      EXIT.refused,
      `the API refuses it (${said}): use a token with the scope that it needs`,
    )
  }
  if (problem === undefined) {
    return new CliError(EXIT.failure, `${url} answers with ${said}, not as our API does: check --api`)
  }
  if (status === 503) return new CliError(EXIT.unreachable, `the API at ${url} can't answer now: ${said}`)
  return new CliError(status === 404 ? EXIT.notFound : EXIT.failure, `the API at ${url} answered: ${said}`)
}

/** fetch hides what happened in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return messageOf(cause ?? error)
}

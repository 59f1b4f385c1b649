import { formatProblems, type ConfigProblem } from '../config/config.ts'
import { OperatorError } from '../lifecycle/service.ts'
import { messageOf, ServiceError } from '../../shared/errors.ts'
import { hintFor, replyText } from '../core/operator-hint.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

/** Ends a command early. The message is one line: what happened, which setting, and the fix. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
  }
}

export const usageError = (message: string): CliError => new CliError(EXIT.usage, message)

/** Invalid settings, printed as the service prints them. */
export class BadSettingsError extends Error {
  override readonly name = 'BadSettingsError'
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(formatProblems(problems))
    this.problems = problems
  }
}

export type Failure = { readonly exitCode: ExitCode; readonly message: string }

/**
 * The exit code and the one line to print for anything that a command threw.
 *
 * @param where which servers were contacted; undefined if that isn't known.
 */
export function failureOf(
  thrown: unknown,
  where: { readonly redis: string | undefined; readonly kafka: string | undefined },
): Failure {
  if (thrown instanceof CliError) return { exitCode: thrown.exitCode, message: thrown.message }
  if (thrown instanceof BadSettingsError) return { exitCode: EXIT.usage, message: thrown.message }
  if (thrown instanceof OperatorError) return { exitCode: EXIT.usage, message: thrown.message }
  if (!(thrown instanceof ServiceError)) return { exitCode: EXIT.failure, message: messageOf(thrown) }
  switch (thrown.side) {
    case 'redis':
      return serverFailure(thrown, where.redis ?? 'Redis')
    case 'kafka':
      return serverFailure(thrown, where.kafka ?? 'Kafka')
    case 'own':
      return { exitCode: EXIT.failure, message: thrown.message }
  }
}

const EXIT_CODES: Partial<Record<ServiceError['code'], ExitCode>> = {
  CONNECTION: EXIT.unreachable,
  TIMEOUT: EXIT.unreachable,
  MAXCLIENTS: EXIT.unreachable,
  LOADING: EXIT.unreachable,
  MASTERDOWN: EXIT.unreachable,
  CLUSTERDOWN: EXIT.unreachable,
  NO_SENTINEL: EXIT.unreachable,
  NO_NODE: EXIT.unreachable,
  TOPIC_MISSING: EXIT.notFound,
  NOAUTH: EXIT.refused,
  WRONGPASS: EXIT.refused,
  SENTINEL_LOGIN: EXIT.refused,
  NOPERM: EXIT.refused,
  DENIED: EXIT.refused,
  SASL: EXIT.refused,
  SASL_MECHANISM: EXIT.refused,
  NOT_AUTHORIZED: EXIT.refused,
}

function serverFailure(error: ServiceError, where: string): Failure {
  const hint = hintFor(error)
  return {
    exitCode: EXIT_CODES[error.code] ?? EXIT.failure,
    message:
      hint === undefined
        ? `${where} replied: ${error.message.trim()}`
        : `${where} ${hint.problem} (${replyText(error)}): ${hint.fix}`,
  }
}

import { formatProblems, type ConfigProblem } from '../config/config.ts'
import { OperatorError } from '../lifecycle/service.ts'
import { messageOf, ServiceError } from '../../shared/errors.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

/** What ends a command before its end. The message is one line: what happened, which setting, and the fix. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
  }
}

export const usageError = (message: string): CliError => new CliError(EXIT.usage, message)

/** Settings that can't be used; printed as the service prints them. */
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
 * Whatever a command threw, as it is told to people.
 *
 * @param where what was tried to be reached, by side; undefined if that isn't known.
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
      return redisFailure(thrown, where.redis ?? 'Redis')
    case 'kafka':
      return kafkaFailure(thrown, where.kafka ?? 'Kafka')
    case 'own':
      return { exitCode: EXIT.failure, message: thrown.message }
  }
}

function redisFailure({ code, message }: ServiceError, where: string): Failure {
  const said = message.trim()
  switch (code) {
    case 'CONNECTION':
    case 'TIMEOUT':
    case 'MAXCLIENTS':
      return {
        exitCode: EXIT.unreachable,
        message: `${where} can't be reached (${said}): check REDIS_HOST and REDIS_PORT, or REDIS_URL`,
      }
    case 'LOADING':
    case 'MASTERDOWN':
    case 'CLUSTERDOWN':
      return { exitCode: EXIT.unreachable, message: `${where} is not ready (${said}): try again` }
    case 'NOAUTH':
    case 'WRONGPASS':
      return {
        exitCode: EXIT.refused,
        message: `${where} refuses us (${said}): check REDIS_USERNAME and REDIS_PASSWORD`,
      }
    case 'NOPERM':
      return {
        exitCode: EXIT.refused,
        message: `${where} refuses a command (${said}): give REDIS_USERNAME the permission`,
      }
    default:
      return { exitCode: EXIT.failure, message: `${where} answered: ${said}` }
  }
}

function kafkaFailure({ code, message }: ServiceError, where: string): Failure {
  const said = message.trim()
  switch (code) {
    case 'CONNECTION':
    case 'TIMEOUT':
      return {
        exitCode: EXIT.unreachable,
        message: `${where} can't be reached (${said}): check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SSL`,
      }
    case 'SASL':
      return {
        exitCode: EXIT.refused,
        message: `${where} refuses us (${said}): check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`,
      }
    case 'NOT_AUTHORIZED':
      return { exitCode: EXIT.refused, message: `${where} does not allow it (${said}): add the ACL` }
    case 'TOPIC_MISSING':
      return {
        exitCode: EXIT.notFound,
        message: `${where}: ${said}: check KAFKA_VALIDATED_DATA_TOPIC and KAFKA_ERROR_TOPIC`,
      }
    default:
      return { exitCode: EXIT.failure, message: `${where} answered: ${said}` }
  }
}

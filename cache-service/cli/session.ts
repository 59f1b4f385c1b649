import { createInterface } from 'node:readline/promises'
import pc from 'picocolors'
import { redisError, ServiceError } from '../../shared/errors.ts'
import { parseConfig, type Config } from '../config/config.ts'
import { ReleaseStack } from '../lifecycle/release-stack.ts'
import { settledWithin } from '../lifecycle/sleep.ts'
import { createRedis, locationName } from '../redis/client.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'
import { BadSettingsError, CliError, failureOf, type Failure } from './cli-error.ts'
import type { CliContext, Sink } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { apiAddress, type ApiAddress, type GlobalOptions } from './global-options.ts'
import { verboseLines } from './terminal/verbose-lines.ts'
import { createOutput, type Destination, type Output } from './terminal/output.ts'
import { createProgressBoard, type Progress } from './terminal/progress.ts'
import { formatOf, resultPath } from './terminal/result-path.ts'
import { openResultFile } from './terminal/open-result-file.ts'
import type { ResultFile } from './terminal/result-file.ts'
import type { Colors } from './terminal/table.ts'

export type RedisClient = ReturnType<typeof createRedis>

/** One run of one command: what it prints, asks and opens. Everything that it opens is released at the end. */
export class Session {
  readonly context: CliContext
  readonly options: GlobalOptions
  /** For results. */
  readonly output: Output
  /** For the parts of the service; shown with `--verbose`. */
  readonly log: Logger
  readonly releases = new ReleaseStack()
  readonly #resultFile: ResultFile | undefined
  readonly #progress: ReturnType<typeof createProgressBoard>
  readonly #errorColors: Colors
  readonly #connections = new Map<string, Promise<RedisClient>>()
  #config: Config | undefined

  constructor(context: CliContext, options: GlobalOptions) {
    this.context = context
    this.options = options
    const isQuiet = options.quiet === true
    this.#errorColors = colorsFor(context.stderr, context, options)
    this.#progress = createProgressBoard(context.stderr, {
      isQuiet,
      monotonicNow: context.monotonicNow,
      print: (line) => this.info(line),
    })
    const path = resultPath(options.output)
    this.#resultFile = path === undefined ? undefined : openResultFile(path, context.stop)
    const destination = this.#resultFile ? fileDestination(this.#resultFile) : screenOf(context.stdout)
    this.output = createOutput({
      format: formatOf(options.format, path),
      destination,
      colors: colorsFor(destination, context, options),
      stop: context.stop,
      // The results and the progress bar share one screen.
      beforeWrite: () => {
        if (destination.isTerminal) this.#progress.hide()
      },
    })
    this.log = createLogger(options.verbose === true ? 'debug' : 'fatal', {
      write: verboseLines((line) => this.#writeError(this.#errorColors.dim(line))),
    })
  }

  get stop(): AbortSignal {
    return this.context.stop
  }

  /** The configuration of the service. @throws BadSettingsError */
  get config(): Config {
    if (this.#config !== undefined) return this.#config
    const parsed = parseConfig(this.context.env, this.context.readFile)
    for (const warning of parsed.warnings) this.warn(warning)
    if (parsed.kind === 'invalid') throw new BadSettingsError(parsed.problems)
    this.#config = parsed.config
    return parsed.config
  }

  /** The API to query instead of Redis, for the commands that can. @throws CliError (usage) */
  get api(): ApiAddress | undefined {
    return apiAddress(this.options, this.context.env)
  }

  /** Prints a line on stderr, unless `--quiet`. */
  info(line: string): void {
    if (this.options.quiet !== true) this.#writeError(line)
  }

  /** Prints a warning on stderr, unless `--quiet`. */
  warn(line: string): void {
    this.info(this.#errorColors.yellow(`warning: ${line}`))
  }

  /** Prints an error on stderr, even with `--quiet`. It does not end the command. */
  error(line: string): void {
    this.#writeError(this.#errorColors.red(`cache-cli: ${line}`))
  }

  progress(label: string, total?: number): Progress {
    return this.#progress.start(label, total)
  }

  /**
   * Asks on the terminal. Resolves if the answer is yes.
   * @param yes whether the command was given `--yes`.
   * @throws CliError (refused) if the answer is no, or if there is no terminal.
   */
  async confirm(question: string, yes: boolean): Promise<void> {
    if (yes) return
    this.assertCanConfirm(yes)
    const { stdin, stderr } = this.context
    this.#progress.hide()
    const reader = createInterface({ input: stdin.stream, output: stderr.stream, terminal: false })
    try {
      const answer = await reader.question(`${question} [y/N] `, { signal: this.stop })
      if (!/^y(es)?$/i.test(answer.trim()))
        throw new CliError(EXIT.refused, 'not confirmed: nothing was done')
    } finally {
      reader.close()
    }
  }

  /**
   * For a command that asks later, so that it does not first contact servers for nothing.
   * @throws CliError (refused) if `confirm` could not ask.
   */
  assertCanConfirm(yes: boolean): void {
    const { stdin, stderr } = this.context
    if (yes || (stdin.isTerminal && stderr.isTerminal)) return
    throw new CliError(EXIT.refused, 'not confirmed, because there is no terminal to ask on: use --yes')
  }

  /**
   * A connection to Redis, one per name, closed at the end of the command.
   * @throws ServiceError if it can't be reached within REDIS_TIMEOUT_S.
   */
  redis(name = 'cli'): Promise<RedisClient> {
    const opened = this.#connections.get(name) ?? this.#openRedis(name)
    this.#connections.set(name, opened)
    return opened
  }

  /**
   * A Kafka client whose cluster has answered. Push what you open with it (admin, consumer, producer) to `releases`.
   * @throws ServiceError if Kafka can't be reached or rejects the login.
   */
  async kafka() {
    const { createKafka, longestConnectMs, RETRY } = await import('../kafka/client.ts')
    const { kafkaError } = await import('../../shared/errors.ts')
    const kafka = createKafka(this.config.kafka, this.log)
    const addresses = this.config.kafka.brokers.length
    const admin = kafka.admin({ retry: { ...RETRY, retries: Math.max(RETRY.retries ?? 0, addresses) } })
    const connecting = admin.connect()
    // A server may accept the connection and then stay silent.
    const timeoutMs = longestConnectMs(addresses)
    try {
      if (!(await settledWithin(connecting, timeoutMs))) {
        const message = `no answer within ${timeoutMs / 1000} s`
        throw new ServiceError('kafka', 'TIMEOUT', 'transient', message, undefined)
      }
      await connecting
    } catch (error) {
      throw kafkaError(error)
    } finally {
      void admin.disconnect().catch(() => undefined)
    }
    return kafka
  }

  /** The message and exit code for a failure. */
  failureOf(thrown: unknown): Failure {
    const config = this.#config
    return failureOf(thrown, {
      redis: config && `Redis at ${locationName(config.redis.location)}`,
      kafka: config && `Kafka at ${config.kafka.brokers.join()}`,
    })
  }

  /** Prints the failure that ends the command: one line, and with `--verbose` its stack. */
  reportFailure(thrown: unknown, { message }: Failure): void {
    this.error(message)
    if (this.options.verbose !== true) return
    for (let error = thrown; error instanceof Error; error = error.cause) {
      this.#writeError(this.#errorColors.dim(error.stack ?? error.message))
    }
  }

  /** Puts the file of `--output` in place. @param exitCode of the command, which did not throw. */
  async commitResults(exitCode: ExitCode): Promise<void> {
    await this.#resultFile?.commit(exitCode !== EXIT.ok)
  }

  async release(): Promise<void> {
    this.#progress.hide()
    await this.#resultFile?.close()
    await this.releases.releaseAll()
  }

  async #openRedis(name: string): Promise<RedisClient> {
    const { redis: settings } = this.config
    let failure: ServiceError | undefined
    const { promise: isUsable, resolve, reject } = Promise.withResolvers<void>()
    // It may be rejected while connecting, whose own failure is the one to report.
    isUsable.catch(() => undefined)
    const telemetry = {
      redisConnected: (where: string) => {
        this.log.debug(`connected to Redis at ${where}`)
        resolve()
      },
      redisFailed: (error: ServiceError) => {
        failure = error
        // A proxy may close a connection that is given a name: the next one is given none.
        if (error.code !== 'CONNECTION') reject(error)
      },
    }
    const redis = createRedis(settings, `${this.context.processId}-${name}`, telemetry, this.context.random)
    this.releases.push(`Redis for ${name}`, () => redis.disconnect())
    try {
      await redis.connect()
    } catch (error) {
      throw failure ?? redisError(error)
    }
    if (await settledWithin(isUsable, settings.timeoutMs)) await isUsable
    else throw failure ?? redisError(new Error(`timed out: no answer within ${settings.timeoutMs / 1000} s`))
    return redis
  }

  #writeError(line: string): void {
    this.#progress.hide()
    this.context.stderr.stream.write(`${line}\n`)
  }
}

function screenOf(sink: Sink): Destination {
  return {
    isTerminal: sink.isTerminal,
    get columns() {
      return sink.columns
    },
    write: (text) =>
      new Promise((resolve, reject) => {
        sink.stream.write(text, (error) => (error ? reject(error) : resolve()))
      }),
    writeDirectly() {},
    protect() {},
  }
}

function fileDestination(file: ResultFile): Destination {
  return { isTerminal: false, columns: undefined, ...file }
}

function colorsFor(sink: Pick<Sink, 'isTerminal'>, { env }: CliContext, { color }: GlobalOptions): Colors {
  const isForced = !['', '0', 'false'].includes(env['FORCE_COLOR'] ?? '')
  const isForbidden = !color || (env['NO_COLOR'] ?? '') !== ''
  return pc.createColors(!isForbidden && (isForced || (sink.isTerminal && env['TERM'] !== 'dumb')))
}

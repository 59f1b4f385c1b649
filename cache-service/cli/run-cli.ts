import { Command, CommanderError } from 'commander'
import { messageOf } from '../../shared/errors.ts'
import { aborted, settledWithin } from '../lifecycle/sleep.ts'
import { CliError } from './cli-error.ts'
import type { Cli, Work } from './command.ts'
import { COMMANDS } from './commands.ts'
import type { CliContext } from './context.ts'
import { EXIT, EXIT_CODES_TEXT, type ExitCode } from './exit-codes.ts'
import { addGlobalOptions, assertApiOptions, type GlobalOptions } from './global-options.ts'
import { Session } from './session.ts'

/** How long a command may take to finish, and to release what it opened, after it was stopped. */
const GRACE_MS = 3_000
const RELEASE_MS = 3_000

/**
 * Runs cache-cli once. Failures are reported in one line on stderr and as an exit code; it rejects only for a bug.
 * @param argv the arguments, without the program and the script.
 */
export async function runCli(argv: readonly string[], context: CliContext): Promise<ExitCode> {
  const program = createProgram(context)
  let exitCode: ExitCode = EXIT.ok
  const cli: Cli = {
    program,
    perform: async (work, source) => {
      exitCode = await runCommand(work, context, program.opts<GlobalOptions>(), source === 'api')
    },
  }
  for (const register of COMMANDS) register(cli)
  pointToHelp(program, 'cache-cli')
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
}

function createProgram({ stdout, stderr, version }: CliContext): Command {
  return addGlobalOptions(
    new Command('cache-cli')
      .description('inspect and maintain the device cache')
      .version(version, '-V, --version', 'print the version')
      .helpOption('-h, --help', 'print this help')
      .helpCommand('help [command]', 'print the help of a command'),
  )
    .addHelpText('after', GENERAL_HELP)
    .addHelpText('afterAll', `\n${EXIT_CODES_TEXT}`)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void stdout.stream.write(text),
      writeErr: (text) => void stderr.stream.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'cache-cli: ')),
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride()
}

/** Makes every usage error point to the help of its command. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(see ${path} --help)`)
  for (const part of command.commands) pointToHelp(part, `${path} ${part.name()}`)
}

async function runCommand(
  work: Work,
  context: CliContext,
  options: GlobalOptions,
  canUseApi: boolean,
): Promise<ExitCode> {
  const { stop } = context
  let session: Session
  try {
    assertApiOptions(options, context.env, canUseApi)
    session = new Session(context, options)
  } catch (error) {
    context.stderr.stream.write(`cache-cli: ${messageOf(error)}\n`)
    return error instanceof CliError ? error.exitCode : EXIT.failure
  }
  // Ends a wait for input.
  stop.addEventListener('abort', () => context.stdin.stream.destroy(), { once: true })
  let exitCode: ExitCode
  try {
    const working = work(session)
    await Promise.race([working, aborted(stop)])
    // A stopped command may finish its current step and report it.
    if (stop.aborted) await settledWithin(working, GRACE_MS)
    stop.throwIfAborted()
    exitCode = (await working) ?? EXIT.ok
    await session.commitResults(exitCode)
  } catch (error) {
    exitCode = reportFailure(session, error)
  }
  try {
    const releasing = session.release()
    if (await settledWithin(releasing, RELEASE_MS)) await releasing
  } catch (error) {
    const [first]: unknown[] = error instanceof AggregateError ? error.errors : [error]
    const cause = first instanceof Error && first.cause !== undefined ? first.cause : first
    if (exitCode === EXIT.ok) exitCode = reportFailure(session, cause)
  }
  return exitCode
}

function reportFailure(session: Session, error: unknown): ExitCode {
  const { stop } = session
  if (stop.aborted) {
    const code = exitCodeOfStop(stop)
    if (code === EXIT.failure) session.error(messageOf(stop.reason))
    return code
  }
  const failure = session.failureOf(error)
  // The reader of the results is gone.
  if (failure.exitCode === EXIT.ok) return EXIT.ok
  session.reportFailure(error, failure)
  return failure.exitCode
}

function exitCodeOfStop({ reason }: AbortSignal): ExitCode {
  return reason instanceof CliError ? reason.exitCode : EXIT.interrupted
}

const GENERAL_HELP = `
cache-cli finds Redis and Kafka through the environment variables of the service: REDIS_HOST, REDIS_PORT,
REDIS_PASSWORD or REDIS_URL, KAFKA_BOOTSTRAP_SERVERS, … (cache-cli config show prints all of them). With --api
or CACHE_API_URL, list, get, batch, delete, state, watch, info and
lag query an API instead.

Results go to stdout, everything else to stderr. The default format is a table, even in a pipe; scripts should
use --format json, jsonl or csv.`

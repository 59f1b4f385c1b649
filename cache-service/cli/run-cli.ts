import { Command, CommanderError } from 'commander'
import { messageOf } from '../../shared/errors.ts'
import { aborted, settledWithin } from '../lifecycle/sleep.ts'
import { CliError } from './cli-error.ts'
import type { Cli, Work } from './command.ts'
import { COMMANDS } from './commands.ts'
import type { CliContext } from './context.ts'
import { EXIT, EXIT_CODES_TEXT, type ExitCode } from './exit-codes.ts'
import { addGlobalOptions, type GlobalOptions } from './global-options.ts'
import { Session } from './session.ts'

/** What a command may still say, and close, after it was told to end. */
const GRACE_MS = 3_000
const RELEASE_MS = 3_000

/**
 * cache-cli, once. Never rejects: what went wrong is said on stderr, in one line.
 * @param argv the arguments alone, without program and script.
 */
export async function runCli(argv: readonly string[], context: CliContext): Promise<ExitCode> {
  const program = createProgram(context)
  let exitCode: ExitCode = EXIT.ok
  const cli: Cli = {
    program,
    perform: async (work) => {
      exitCode = await runCommand(work, context, program.opts<GlobalOptions>())
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
      .description('Looks into the device cache, and takes care of it.')
      .version(version, '-V, --version', 'print the version')
      .helpOption('-h, --help', 'print this')
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

/** After wrong usage: of the command that was meant. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(${path} --help tells more)`)
  for (const part of command.commands) pointToHelp(part, `${path} ${part.name()}`)
}

async function runCommand(work: Work, context: CliContext, options: GlobalOptions): Promise<ExitCode> {
  const { stop } = context
  let session: Session
  try {
    session = new Session(context, options)
  } catch (error) {
    context.stderr.stream.write(`cache-cli: ${messageOf(error)}\n`)
    return error instanceof CliError ? error.exitCode : EXIT.failure
  }
  // Who waits for input waits no longer.
  stop.addEventListener('abort', () => context.stdin.stream.destroy(), { once: true })
  let exitCode: ExitCode
  try {
    const working = work(session)
    await Promise.race([working, aborted(stop)])
    // Told to end: what it has in hand it may finish, and say so.
    if (stop.aborted) await settledWithin(working, GRACE_MS)
    stop.throwIfAborted()
    exitCode = (await working) ?? EXIT.ok
  } catch (error) {
    exitCode = endWith(session, error)
  }
  try {
    const releasing = session.release()
    if (await settledWithin(releasing, RELEASE_MS)) await releasing
  } catch (error) {
    const [first]: unknown[] = error instanceof AggregateError ? error.errors : [error]
    const cause = first instanceof Error && first.cause !== undefined ? first.cause : first
    if (exitCode === EXIT.ok) exitCode = endWith(session, cause)
  }
  return exitCode
}

function endWith(session: Session, error: unknown): ExitCode {
  const { stop } = session
  if (stop.aborted) {
    const code = codeOfStop(stop)
    if (code === EXIT.failure) session.complain(messageOf(stop.reason))
    return code
  }
  const failure = session.failureOf(error)
  session.report(error, failure)
  return failure.exitCode
}

function codeOfStop({ reason }: AbortSignal): ExitCode {
  return reason instanceof CliError ? reason.exitCode : EXIT.interrupted
}

const GENERAL_HELP = `
Redis and Kafka are found by the same environment variables as the service's: REDIS_HOST, REDIS_PORT,
REDIS_PASSWORD or REDIS_URL, KAFKA_BOOTSTRAP_SERVERS, … (cache-cli config show prints all of them). With --api
an API is asked instead.

Results go to stdout, everything else to stderr. The format is a table also in a pipe; scripts want
--format json or csv.`

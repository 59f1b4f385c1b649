import { messageOf } from '../../../shared/errors.ts'
import {
  describeSettings,
  parseConfig,
  type ConfigProblem,
  type ParsedConfig,
  type Setting,
} from '../../config/config.ts'
import { ACCESS_FIX, accessProblem } from '../../http/hooks/access.ts'
import { parseTokens } from '../../http/tokens.ts'
import { addRowOptions } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import { BadSettingsError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

const SETTING_COLUMNS: readonly Column<Setting>[] = [
  { name: 'name', cell: (setting) => setting.name },
  { name: 'value', cell: (setting) => setting.value },
  {
    name: 'from',
    cell: (setting) => setting.from,
    tone: ({ from }) => (from === 'default' ? 'dim' : undefined),
  },
  { name: 'problem', cell: (setting) => setting.problem, tone: () => 'bad' },
]

/** The description is too long for a table by default. */
const ALL_COLUMNS: readonly Column<Setting>[] = [
  ...SETTING_COLUMNS,
  { name: 'description', cell: (setting) => setting.description },
]

type ShowOptions = RowChoice<Setting> & { readonly changed?: true }

const PROBLEM_COLUMNS: readonly Column<ConfigProblem>[] = [
  { name: 'variable', cell: (problem) => problem.variable },
  { name: 'message', cell: (problem) => problem.message },
  { name: 'fix', cell: (problem) => problem.fix },
]

export function registerConfigCommand({ program, perform }: Cli): void {
  const config = program
    .command('config')
    .description('show or validate the configuration of the service, as read from this environment')
    .addHelpText(
      'after',
      examples(
        ['cache-cli config show', 'show all options'],
        ['cache-cli config validate', 'check that all of them are valid'],
      ),
    )

  addRowOptions(config.command('show'), ALL_COLUMNS)
    .description(
      'show all options with value and source (default, variable or file); secrets are shown as ***',
    )
    .option('--changed', 'show only options that are set')
    .addHelpText(
      'after',
      examples(
        ['cache-cli config show --changed', 'show what this environment sets'],
        ['cache-cli config show --format json', 'include the descriptions'],
      ),
    )
    .action((options: ShowOptions) => perform((session) => show(session, options)))

  config
    .command('validate')
    .description('report all problems of the configuration; exits with 2 if there are any')
    .addHelpText(
      'after',
      examples(['cache-cli config validate', 'check a configuration before deploying it']),
    )
    .action(() => perform(validate))
}

async function show(session: Session, options: ShowOptions): Promise<ExitCode> {
  const { env, readFile } = session.context
  const settings = describeSettings(env, readFile)
  const shown = settings.filter(({ from }) => options.changed !== true || from !== 'default')
  const hasProblem = settings.some(({ problem }) => problem !== undefined)
  const columns = SETTING_COLUMNS.filter(({ name }) => hasProblem || name !== 'problem')
  await session.output.rows(columns, shown, options)
  const parsed = parseConfig(env, readFile)
  for (const warning of parsed.warnings) session.warn(warning)
  if (parsed.kind === 'ok') return EXIT.ok
  throw new BadSettingsError(parsed.problems)
}

async function validate(session: Session): Promise<ExitCode> {
  const { env, readFile } = session.context
  const parsed = withTokensFile(parseConfig(env, readFile), readFile)
  const isTable = session.output.format === 'table'
  for (const warning of parsed.warnings) session.warn(warning)
  if (parsed.kind === 'ok') {
    const problem = accessProblem(parsed.config.api)
    if (problem !== undefined) session.warn(`${problem}, so the API would not start: ${ACCESS_FIX}`)
    if (!isTable) await session.output.rows(PROBLEM_COLUMNS, [])
    else if (session.options.quiet !== true) await session.output.text('The configuration is valid.\n')
    return EXIT.ok
  }
  if (isTable) throw new BadSettingsError(parsed.problems)
  await session.output.rows(PROBLEM_COLUMNS, parsed.problems)
  return EXIT.usage
}

/** The API reads this file when it starts. The other roles, which share its settings, do not need it. */
function withTokensFile(parsed: ParsedConfig, readFile: Session['context']['readFile']): ParsedConfig {
  const path = parsed.kind === 'ok' ? parsed.config.api.tokensFile : undefined
  if (path === undefined) return parsed
  const problem = (message: string): ParsedConfig => ({
    kind: 'invalid',
    warnings: parsed.warnings,
    problems: [
      {
        variable: 'API_TOKENS_FILE',
        message,
        description: 'File of the tokens that the API accepts.',
        fix: 'Create a tokens file with cache-cli token create --file, and let the API read it.',
      },
    ],
  })
  try {
    const tokens = parseTokens(readFile(path))
    return tokens.kind === 'ok'
      ? parsed
      : problem(`names a file that can't be used: ${path} (${tokens.reason})`)
  } catch (error) {
    return problem(`names a file that can't be read: ${path} (${messageOf(error)})`)
  }
}

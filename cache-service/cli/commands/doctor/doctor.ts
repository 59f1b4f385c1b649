import { Option } from 'commander'
import { parseConfig, type Config } from '../../../config/config.ts'
import { DOCTOR_ROLES, type DoctorRole, type Finding } from '../../../core/doctor.ts'
import { includesLagMonitor } from '../../../core/workers/lag-groups.ts'
import { examples, type Cli } from '../../command.ts'
import { checkCanaryApi } from './canary-checks.ts'
import { checkAccess, checkPorts, checkSettings } from './machine-checks.ts'
import { EXIT, type ExitCode } from '../../exit-codes.ts'
import { addRowOptions, choosesRows } from '../../row-options.ts'
import type { RowChoice } from '../../terminal/rows.ts'
import type { Session } from '../../session.ts'
import { paint, printable, type Colors, type Column, type Tone } from '../../terminal/table.ts'

type DoctorOptions = RowChoice<Row> & { readonly role: DoctorRole }

export function registerDoctorCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('doctor'), COLUMNS)
    .description('check all settings and servers that the service needs; changes nothing')
    .addOption(
      new Option('--role <role>', 'role to check for; each needs different servers and permissions')
        .choices(DOCTOR_ROLES)
        .default('worker'),
    )
    .addHelpText(
      'after',
      examples(
        ['cache-cli doctor', 'check what a worker needs'],
        ['cache-cli doctor --role all', 'check what all roles need'],
        ['cache-cli doctor -f json', 'print JSON for a script; the exit code is 0 if nothing failed'],
      ),
    )
    .action((options: DoctorOptions) => perform((session) => runDoctor(session, options)))
}

async function runDoctor(session: Session, options: DoctorOptions): Promise<ExitCode> {
  const { role } = options
  const parsed = parseConfig(session.context.env, session.context.readFile)
  const findings = checkSettings(parsed)
  if (parsed.kind === 'ok') findings.push(...(await checkServers(session, parsed.config, role)))
  else findings.push(...skippedAreas())
  await print(session, findings, options)
  const count = (verdict: Finding['verdict']) => findings.filter((one) => one.verdict === verdict).length
  session.info(
    `failed: ${count('failed')}, warnings: ${count('warning')}, ok: ${count('ok')}, skipped: ${count('skipped')}`,
  )
  if (findings.some(({ isUnreachable }) => isUnreachable === true)) return EXIT.unreachable
  return count('failed') > 0 ? EXIT.failure : EXIT.ok
}

async function checkServers(session: Session, config: Config, role: DoctorRole): Promise<Finding[]> {
  const [{ checkKafka }, { checkRedis }] = await Promise.all([
    import('./kafka-checks.ts'),
    import('./redis-checks.ts'),
  ])
  const needsKafka = ['worker', 'lag-monitor', 'all'].includes(role)
  const { canary } = config.lagMonitor
  const hasCanary = canary !== undefined && includesLagMonitor(role, config.lagMonitor)
  const groups = await Promise.all([
    needsKafka ? checkKafka(session, config, role) : [],
    checkRedis(session, config, role),
    hasCanary ? checkCanaryApi(canary) : [],
    checkAccess(config, role),
    checkPorts(config, role),
  ])
  return groups.flat()
}

function skippedAreas(): Finding[] {
  return (['kafka', 'redis', 'machine'] as const).map((area) => ({
    area,
    check: 'all checks',
    verdict: 'skipped',
    detail: 'the settings must be valid first',
  }))
}

async function print(
  { output }: Session,
  findings: readonly Finding[],
  choice: RowChoice<Row>,
): Promise<void> {
  if (output.format !== 'table' || choosesRows(choice))
    return await output.rows(COLUMNS, findings.map(rowOf), choice)
  for (const finding of findings) await output.text(findingText(finding, output.colors))
}

const TONES: Readonly<Record<Finding['verdict'], Tone>> = {
  ok: 'good',
  warning: 'warn',
  failed: 'bad',
  skipped: 'dim',
}

function findingText({ area, check, fix, detail, verdict }: Finding, colors: Colors): string {
  const mark = paint(colors, TONES[verdict])(verdict.padEnd(8))
  const first = `${mark} ${area.padEnd(8)} ${printable(check)}: ${printable(detail)}\n`
  return fix === undefined ? first : `${first}${' '.repeat(18)}-> ${printable(fix)}\n`
}

type Row = Omit<Finding, 'isUnreachable' | 'fix'> & { readonly fix: string | null }

const rowOf = ({ area, check, fix, detail, verdict }: Finding): Row => ({
  area,
  check,
  verdict,
  detail,
  fix: fix ?? null,
})

const COLUMNS: readonly Column<Row>[] = [
  { name: 'verdict', cell: ({ verdict }) => verdict },
  { name: 'area', cell: ({ area }) => area },
  { name: 'check', cell: ({ check }) => check },
  { name: 'detail', cell: ({ detail }) => detail },
  { name: 'fix', cell: ({ fix }) => fix },
]

// Runs all checks and tests, even after one fails: format, lint, types, then vitest, which receives the arguments of
// this program. Each of the three checks counts as one test, and repeats only what has changed since its last run. The last
// line is the total.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import color from 'picocolors'
import { z } from 'zod'
import { repository } from './support/repository.ts'

type Counts = { passed: number; failed: number; skipped: number }

const CHECKS: Readonly<Record<string, string[]>> = {
  format: [
    'prettier',
    '--check',
    '--cache',
    '--cache-strategy',
    'content',
    '--cache-location',
    '.cache/format',
    '.',
  ],
  lint: ['oxlint', '--deny-warnings'],
  types: ['tsc', '--noEmit', '--incremental', '--tsBuildInfoFile', '.cache/types'],
}

const FAULT_REPORTER = `--reporter=${join(repository, 'test/support/faults/fault-reporter.ts')}`

/** These have commands of their own: `make faults` and `make tracing`. */
const BY_DEFAULT = ['--project', '!faults', '--project', '!tracing']

async function runCheck(name: string, [command = '', ...args]: string[]): Promise<Counts> {
  const startedAt = performance.now()
  const child = spawn(command, args, { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), endOf(child)])
  const seconds = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  const passed = end === 0
  console.log(` ${passed ? color.green('✓') : color.red('×')} ${name} ${color.dim(seconds)}`)
  if (!passed) console.log(`${stdout}${stderr}${name} ended with ${end}`)
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 }
}

const vitestReport = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
})

async function runVitest(args: readonly string[]): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'test-report-'))
  const reportPath = join(folder, 'report.json')
  const reporters = [
    '--reporter=default',
    '--reporter=json',
    FAULT_REPORTER,
    `--outputFile.json=${reportPath}`,
  ]
  try {
    const child = spawn('vitest', ['run', ...reporters, ...args], {
      cwd: repository,
      stdio: 'inherit',
      env: { ...process.env, NODE_OPTIONS: '--disable-warning=TimeoutNegativeWarning' },
    })
    const end = await endOf(child)
    if (end !== 0) console.log(`vitest ended with ${end}`)
    return countTests(readReport(reportPath), end === 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A file that cannot be loaded, a server that cannot be found and an error outside of tests are failures, too. */
export function countTests(report: z.infer<typeof vitestReport> | undefined, exitedWell: boolean): Counts {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 }
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  const failed = report.numFailedTests + unloaded.length
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !exitedWell ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

function readReport(path: string): z.infer<typeof vitestReport> | undefined {
  try {
    return vitestReport.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** The exit code, the signal, or why the program could not be started: anything but 0 is a failure. */
function endOf(child: ReturnType<typeof spawn>): Promise<number | string> {
  const { promise, resolve } = Promise.withResolvers<number | string>()
  child.once('error', ({ message }) => resolve(message))
  child.once('close', (code, signal) => resolve(code ?? signal ?? 'no exit code'))
  return promise
}

async function main(): Promise<void> {
  // Ctrl-C reaches vitest as well: it stops its servers, and we count the results so far.
  process.on('SIGINT', () => undefined)
  const checks = await Promise.all(Object.entries(CHECKS).map(([name, command]) => runCheck(name, command)))
  const args = process.argv.slice(2)
  const counts = [...checks, await runVitest(args.length === 0 ? BY_DEFAULT : args)]
  const sum = (of: keyof Counts) => counts.reduce((total, each) => total + each[of], 0)
  const skipped = sum('skipped') === 0 ? '' : `, ${sum('skipped')} skipped`
  console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped}`)
  process.exitCode = sum('failed') === 0 ? 0 : 1
}

if (import.meta.main) await main()

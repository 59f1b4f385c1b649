import { Command, InvalidArgumentError } from 'commander'
import { createSchedule } from './create-schedule.ts'
import { runSchedule, type Outcome } from './run-schedule.ts'
import type { Schedule } from './schedule.ts'
import { shrink } from './shrink.ts'

type Options = {
  readonly seed?: number
  readonly from?: number
  readonly seconds: number
  readonly schedules: number
  readonly step: number
  readonly json?: boolean
}
type Failure = Extract<Outcome, { kind: 'failed' }>

const PROGRESS_INTERVAL_MS = 1_000

const program = new Command('simulate')
  .description(
    'Runs the worker against a simulated Kafka and Redis, with faults drawn from a seed, and compares the result with a model.',
  )
  .option('--seed <n>', 'run only this seed, and print what happens', wholeNumber)
  .option('--from <n>', 'first seed (default: drawn at random)', wholeNumber)
  .option('--seconds <n>', 'how long to try one seed after the other', Number, 60)
  .option('--schedules <n>', 'how many seeds to try at most', wholeNumber, Infinity)
  .option('--step <n>', 'from one seed to the next (3, from 2: only Redis Clusters)', wholeNumber, 1)
  .option('--json', 'print the result as JSON')
  .addHelpText(
    'after',
    `
A failure prints its seed, the smallest schedule that still fails, and what happened in it.

Exit codes: 0 no failure, 1 a failure, 2 wrong usage.

Examples:
  node test/simulation/simulate.ts --seconds 600
  node test/simulation/simulate.ts --seed 223`,
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
const options = program.opts<Options>()

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.')
  return Number(text)
}

const isFailure = (outcome: Outcome): outcome is Failure => outcome.kind === 'failed'

if (options.seed !== undefined) await runOne(options.seed)
else await runMany(options.from ?? Math.floor(Math.random() * 2 ** 31))

async function runOne(seed: number): Promise<void> {
  const outcome = await runSchedule(createSchedule(seed))
  if (isFailure(outcome)) return await fail(seed, outcome, 1)
  console.log(outcome.trace().join('\n'))
  console.log(`seed ${seed}: passed, ${outcome.events} events`)
}

async function runMany(from: number): Promise<void> {
  // A stack per error takes a twentieth of the processor time; `--seed` shows them.
  Error.stackTraceLimit = 0
  const startedMs = performance.now()
  let notedMs = startedMs
  let seed = from
  let schedules = 0
  for (
    ;
    schedules < options.schedules && performance.now() - startedMs < options.seconds * 1_000;
    seed += options.step
  ) {
    const outcome = await runSchedule(createSchedule(seed))
    schedules++
    if (isFailure(outcome)) return await fail(seed, outcome, schedules)
    if (process.stderr.isTTY && performance.now() - notedMs > PROGRESS_INTERVAL_MS) {
      notedMs = performance.now()
      process.stderr.write(`\r${schedules} schedules from seed ${from}`)
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  const cpuMs = Math.round(process.cpuUsage().user / 1_000)
  if (options.json === true) console.log(JSON.stringify({ outcome: 'passed', from, schedules, cpuMs }))
  else
    console.log(
      `${schedules} schedules from seed ${from}: none failed; ${(cpuMs / schedules).toFixed(1)} ms of processor time each`,
    )
}

async function fail(seed: number, failure: Failure, schedules: number): Promise<void> {
  process.exitCode = 1
  const smallest = await shrink(createSchedule(seed), async (schedule) =>
    isFailure(await runSchedule(schedule)),
  )
  const again = await runSchedule(smallest)
  const { trace, why } = isFailure(again) ? again : failure
  const report = [
    `seed ${seed} failed: ${failure.why}`,
    `The smallest schedule that fails (${why}):\n${describe(smallest)}`,
    `What happened, in seconds:\n${trace().join('\n')}`,
    `Again: node test/simulation/simulate.ts --seed ${seed}`,
  ].join('\n\n')
  console.log(
    options.json === true ? JSON.stringify({ outcome: 'failed', seed, why, schedules, report }) : report,
  )
}

function describe({ steps }: Schedule): string {
  return steps.map((step) => `  ${JSON.stringify(step)}`).join('\n')
}

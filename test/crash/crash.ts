import { Command, InvalidArgumentError } from 'commander'
import { messageOf } from '../../shared/errors.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { CRASH_POINTS } from './crash-points.ts'
import { describePlan, planCrash, runCrash } from './run-crash.ts'

const CONCURRENT_RUNS = 2

const options = new Command('crash')
  .description(
    'Kills workers at named points of their code, on a real Kafka and Redis, and checks after each crash that nothing is lost.',
  )
  .option('--seed <n>', 'run only this seed', wholeNumber)
  .option('--from <n>', 'first seed (default: drawn at random)', wholeNumber)
  .option('--runs <n>', 'number of seeds; consecutive seeds take turns at the points', wholeNumber, 100)
  .addHelpText(
    'after',
    `
Points:
${Object.keys(CRASH_POINTS)
  .map((name) => `  ${name}`)
  .join('\n')}

Exit codes: 0 no failure, 1 a failure, 2 wrong usage.`,
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<{ seed?: number; from?: number; runs: number }>()

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.')
  return Number(text)
}

const first = options.seed ?? options.from ?? Math.floor(Math.random() * 1e9)
const seeds = Array.from({ length: options.seed === undefined ? options.runs : 1 }, (_, i) => first + i)
const kafka = await startOwnKafka()
const failures: string[] = []
try {
  console.log(`${seeds.length} runs from seed ${first}`)
  const waiting = [...seeds]
  const runAll = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const plan = planCrash(seed)
      const startedMs = performance.now()
      const failure = await runCrash(plan, kafka.brokers).then(
        () => undefined,
        (error: unknown) => messageOf(error),
      )
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
      console.log(`${failure === undefined ? 'ok  ' : 'FAIL'} ${describePlan(plan)} ${seconds} s`)
      if (failure === undefined) continue
      failures.push(failure)
      console.log(failure)
      console.log(`     again: make crash SEED=${seed}`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT_RUNS }, runAll))
} finally {
  await kafka.stop()
}
console.log(`${seeds.length - failures.length} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1

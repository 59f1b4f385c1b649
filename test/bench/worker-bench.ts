import { Command, InvalidArgumentError } from 'commander'
import { programAt, type ServiceProgram } from '../support/processes/service-process.ts'
import { baselineFile, ratioLines, ratiosOf, readBaseline, writeBaseline } from './worker/baseline.ts'
import { readBacklog, readCeiling, writeBacklog } from './worker/backlog.ts'
import { summarize, tables, type Figures, type Series } from './worker/figures.ts'
import { measureLatency, WARM_UP_MS } from './worker/latency.ts'
import { startBenchServers } from './worker/servers.ts'
import { WORKLOADS, workloadOf } from './worker/workloads.ts'

/**
 * Measures how fast the worker reads a backlog, next to its ceilings in the same run (figures of different runs cannot be
 * compared), and how late a record is at a steady load. Kafka, Redis and the worker share the processors.
 */
const list = (text: string) => text.split(',').filter((item) => item !== '')
const positive = (text: string) => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number')
  return value
}
const longEnough = (text: string) => {
  const seconds = positive(text)
  if (seconds * 1000 <= WARM_UP_MS) throw new InvalidArgumentError(`must be more than ${WARM_UP_MS / 1000}`)
  return seconds
}
const names = WORKLOADS.map(({ name }) => name)
const options = new Command('worker-bench')
  .description(
    'Measures the worker on a real Kafka and Redis: rates, processor time per record, memory, latency.',
  )
  .option('--workloads <list>', `of ${names.join(', ')}`, list, names)
  .option('--records <n>', 'records in a backlog', positive, 500_000)
  .option('--warm-up <n>', 'records read before the measurement begins', positive, 100_000)
  .option('--runs <n>', 'runs of each kind', positive, 3)
  .option('--latency <list>', 'loads in records/s, or records/s@partitions; empty: none', list, [
    '2000@3',
    '10000@3',
    '600@300',
  ])
  .option(
    '--latency-seconds <n>',
    `length of a latency run, more than the ${WARM_UP_MS / 1000} that do not count`,
    longEnough,
    40,
  )
  .option('--devices <list>', 'further backlogs, each of this number of devices', list, [])
  .option('--workers <n>', 'workers that read a backlog together', positive, 1)
  .option('--against <folder>', 'another checkout, whose worker takes turns with this one')
  .option('--node-flags <flags>', 'flags for Node.js instead of those of `npm start`')
  .option(
    '--save-baseline',
    "make this run the baseline of this machine, with which later runs' ratios are compared",
  )
  .option('--json', 'print JSON instead of tables')
  .addHelpText(
    'after',
    `\nWorkloads:\n${WORKLOADS.map(({ name, what }) => `  ${name.padEnd(12)}${what}`).join('\n')}\n`,
  )
  .parse()
  .opts<{
    workloads: string[]
    records: number
    warmUp: number
    runs: number
    latency: string[]
    latencySeconds: number
    devices: string[]
    workers: number
    against?: string
    nodeFlags?: string
    saveBaseline?: true
    json?: true
  }>()
const unknown = options.workloads.filter((name) => !names.includes(name))
if (unknown.length > 0)
  throw new Error(`unknown workload ${unknown.join()}: it must be one of ${names.join()}`)

/** Settings from the environment apply to this run only, to try them out. */
const settings = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(CHUNK_|KAFKA_FETCH_|KAFKA_COMMIT_|REDIS_SCRIPT_)/.test(name),
  ) as [string, string][],
)
const own = programAt()
const programs: [name: string, program: ServiceProgram][] = [
  ['worker', options.nodeFlags === undefined ? own : { ...own, nodeFlags: options.nodeFlags.split(' ') }],
]
if (options.against !== undefined) programs.push(['worker of the other', programAt(options.against)])

const servers = await startBenchServers()
const results: Record<string, Record<string, Series>> = {}
try {
  const workloads = [
    ...WORKLOADS.filter(({ name }) => options.workloads.includes(name)),
    ...options.devices.map((count) => workloadOf(positive(count))),
  ]
  for (const workload of workloads) {
    const records = Math.round(options.records * workload.share)
    const topic = await writeBacklog(servers, workload, records, note)
    const warmUp = Math.round(options.warmUp * workload.share)
    const runs = new Map<string, Figures[]>()
    for (let run = 0; run < options.runs; run++) {
      add(runs, 'KafkaJS, values discarded', await readCeiling(servers, topic, records, false))
      add(runs, 'KafkaJS + JSON.parse', await readCeiling(servers, topic, records, true))
      for (const [name, program] of programs) {
        const env = { ...settings, ...workload.env }
        add(
          runs,
          name,
          await readBacklog(servers, { topic, records, warmUp, workers: options.workers }, env, program),
        )
      }
      const rates = [...runs].map(([name, of]) => `${name} ${Math.round(of.at(-1)?.['records/s'] ?? 0)}/s`)
      note(`${workload.name}, run ${run + 1} of ${options.runs}: ${rates.join(', ')}`)
    }
    collect(workload.name, runs)
  }
  for (const load of options.latency) {
    const [perSecond = 0, partitions = 3] = load.split('@').map(Number)
    const runs = new Map<string, Figures[]>()
    for (let run = 0; run < options.runs; run++) {
      for (const [name, program] of programs) {
        const steady = { perSecond, seconds: options.latencySeconds, partitions }
        add(runs, name, await measureLatency(servers, steady, settings, program))
      }
      note(`latency at ${perSecond}/s in ${partitions} partitions, run ${run + 1} of ${options.runs}`)
    }
    collect(`${perSecond}/s, ${partitions} partitions`, runs)
  }
} finally {
  await servers.stop()
}
const file = baselineFile()
/** Other settings have other ratios. */
const isUsual = options.workers === 1 && options.nodeFlags === undefined && Object.keys(settings).length === 0
const [ratios, baseline] = [ratiosOf(results), isUsual ? await readBaseline(file) : {}]
process.stdout.write(
  options.json
    ? `${JSON.stringify({ results, ratios, baseline }, undefined, 2)}\n`
    : `${tables(results)}\n${ratioLines(ratios, baseline).join('\n')}\n`,
)
// Workloads without a baseline get one; the others keep theirs, so that a slow decline is seen as well.
if (isUsual)
  await writeBaseline(file, options.saveBaseline ? { ...baseline, ...ratios } : { ...ratios, ...baseline })

function add(runs: Map<string, Figures[]>, name: string, figures: Figures): void {
  runs.set(name, [...(runs.get(name) ?? []), figures])
}

function collect(kind: string, runs: ReadonlyMap<string, readonly Figures[]>): void {
  for (const [name, figures] of runs) results[`${kind}: ${name}`] = summarize(figures)
}

function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

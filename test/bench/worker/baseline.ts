import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { repository } from '../../support/repository.ts'
import type { Series } from './figures.ts'

/**
 * What can be compared between days: figures of one run relative to others of the same run. A machine that is half as fast
 * halves both.
 */
export type Ratios = {
  /** The worker's rate relative to that of KafkaJS with `JSON.parse`, which writes nothing. */
  readonly ofCeiling: number
  /** The worker's rate relative to what the processors allow by the measured costs: worker on one, Redis and Kafka on another. */
  readonly ofProcessors: number
  /** The worker's processor time per record relative to that of KafkaJS with `JSON.parse`. */
  readonly cost: number
}

export type Baseline = Readonly<Record<string, Ratios>>

/** Beyond this, a ratio differs from its baseline by more than the usual noise. */
const NOISE = 0.2

type Results = Readonly<Record<string, Readonly<Record<string, Series>>>>

/** Of the backlogs among the results, by workload. */
export function ratiosOf(results: Results): Baseline {
  const ratios: Record<string, Ratios> = {}
  for (const [kind, worker] of Object.entries(results)) {
    const [workload = '', what] = kind.split(': ')
    const ceiling = results[`${workload}: KafkaJS + JSON.parse`]
    if (what !== 'worker' || ceiling === undefined) continue
    const of = (figures: Readonly<Record<string, Series>>, name: string) => figures[name]?.median ?? 0
    const rate = of(worker, 'records/s')
    const servers = of(worker, 'Redis, µs/record') + of(worker, 'Kafka, µs/record')
    const cost = of(worker, 'worker, µs/record')
    ratios[workload] = {
      ofCeiling: rate / of(ceiling, 'records/s'),
      ofProcessors: (rate * Math.max(cost, servers)) / 1e6,
      cost: cost / of(ceiling, 'µs/record'),
    }
  }
  return ratios
}

/** One line per workload, compared with the baseline where there is one. */
export function ratioLines(now: Baseline, before: Baseline): string[] {
  return Object.entries(now).map(([workload, ratios]) => {
    const known = before[workload]
    const shown = (value: number, then: number | undefined) =>
      value.toFixed(2) + (then === undefined ? '' : ` (baseline ${then.toFixed(2)})`)
    const line = [
      `${workload}: ${shown(ratios.ofCeiling, known?.ofCeiling)} of the rate of KafkaJS + JSON.parse`,
      `${shown(ratios.cost, known?.cost)} times its processor time`,
      `${shown(ratios.ofProcessors, known?.ofProcessors)} of what two processors allow`,
    ].join(', ')
    return known !== undefined && isSlower(ratios, known) ? `${line} — SLOWER than the baseline` : line
  })
}

/** The processor time says more than the rate: other load on the machine changes it less. */
export function isSlower(now: Ratios, before: Ratios): boolean {
  return now.cost > before.cost * (1 + NOISE) || now.ofProcessors < before.ofProcessors * (1 - NOISE)
}

/** The baseline of this machine, which is not a part of the repository. */
export function baselineFile(): string {
  return join(repository, '.cache/bench', `${hostname()}-${availableParallelism()}.json`)
}

/** Empty: there is none yet. */
export async function readBaseline(file: string): Promise<Baseline> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Baseline
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
}

export async function writeBaseline(file: string, baseline: Baseline): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(baseline, undefined, 2)}\n`)
}

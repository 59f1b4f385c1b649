import type { Flatness } from './flatness.ts'
import { SERIES, type Sample, type SeriesName } from './samples.ts'

export type FaultReport = {
  readonly name: string
  readonly fromSeconds: number
  /** Until the fault itself was over. */
  readonly lastedSeconds: number
  /** Seconds from the end of the fault until every worker and the api were ready and the lag was small. */
  readonly recovery: number | 'never' | 'not measured'
}

export type SoakReport = {
  readonly seed: number
  readonly startedAt: string
  readonly minutes: number
  readonly peakPerSecond: number
  readonly perSecond: number
  readonly samples: readonly Sample[]
  readonly faults: readonly FaultReport[]
  readonly flatness: ReadonlyMap<SeriesName, Flatness>
  readonly facts: Readonly<Record<string, number | string>>
  /** What is wrong; empty: passed. */
  readonly problems: readonly string[]
  readonly isInterrupted: boolean
  /** The end of the log of the worker that is never stopped. */
  readonly workerLog: string
}

export function markdownReport(report: SoakReport): string {
  const { facts, faults, flatness, problems } = report
  const flat = [...flatness].map(([name, found]) => [SERIES[name].title, ...flatnessCells(found)])
  return [
    `# Soak test of ${report.startedAt}`,
    '',
    `**${verdictOf(report)}.** ${report.minutes.toFixed(1)} minutes at ${round(report.perSecond)} records/s, half of the ` +
      `${round(report.peakPerSecond)} that this machine can do, with ${faults.length} faults (seed ${report.seed}).`,
    '',
    ...problems.map((problem) => `- ${problem}`),
    ...(problems.length > 0 ? [''] : []),
    '## Faults',
    '',
    ...table(
      ['At', 'Fault', 'Lasted', 'Recovery'],
      faults.map(({ fromSeconds, lastedSeconds, name, recovery }) => [
        `${round(fromSeconds)} s`,
        name,
        `${lastedSeconds.toFixed(1)} s`,
        typeof recovery === 'number' ? `${recovery.toFixed(1)} s` : recovery,
      ]),
    ),
    '',
    '## Growth in the second half, while no fault was in effect',
    '',
    ...table(['What', 'Median', 'Growth', 'Allowed', 'Result'], flat),
    '',
    '## Totals',
    '',
    ...table(
      ['What', 'Value'],
      Object.entries(facts).map(([name, value]) => [name, String(value)]),
    ),
    '',
  ].join('\n')
}

export function htmlReport(report: SoakReport): string {
  const names = Object.keys(SERIES) as SeriesName[]
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Soak test of ${report.startedAt}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } h2 { font-size: 1rem; margin: 1.5rem 0 0; } pre { white-space: pre-wrap; }
</style>
<h1>Soak test: ${verdictOf(report)}</h1>
<p>Grey bands: a fault, from its beginning until the service had recovered; the name is in the tooltip.</p>
${names.map((name) => `<h2>${SERIES[name].title}</h2>\n${chart(report, name)}`).join('\n')}
<pre>${escape(markdownReport(report))}</pre>
</html>
`
}

const WIDTH = 920
const HEIGHT = 150
const LEFT = 70
const BOTTOM = 20

/** One series as a line, above the faults. */
function chart({ faults, samples }: SoakReport, name: SeriesName): string {
  const points = samples.flatMap(({ seconds, values }) => {
    const value = values[name]
    return value === undefined ? [] : [{ seconds, value }]
  })
  const lastSecond = Math.max(1, samples.at(-1)?.seconds ?? 1)
  const most = Math.max(1, ...points.map(({ value }) => value)) * 1.05
  const x = (seconds: number) => (LEFT + (seconds / lastSecond) * (WIDTH - LEFT)).toFixed(1)
  const y = (value: number) => ((1 - value / most) * (HEIGHT - BOTTOM)).toFixed(1)
  const bands = faults.map(({ fromSeconds, lastedSeconds, name: fault, recovery }) => {
    const until = Math.min(
      lastSecond,
      fromSeconds + lastedSeconds + (typeof recovery === 'number' ? recovery : lastSecond),
    )
    const width = Math.max(1, Number(x(until)) - Number(x(fromSeconds)))
    return `<rect x="${x(fromSeconds)}" y="0" width="${width.toFixed(1)}" height="${HEIGHT - BOTTOM}" fill="#8883"><title>${escape(fault)}</title></rect>`
  })
  const line = points.map(({ seconds, value }) => `${x(seconds)},${y(value)}`).join(' ')
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${SERIES[name].title}" font-size="11" fill="currentColor">
${bands.join('\n')}
<line x1="${LEFT}" y1="${HEIGHT - BOTTOM}" x2="${WIDTH}" y2="${HEIGHT - BOTTOM}" stroke="currentColor"/>
<text x="${LEFT - 6}" y="12" text-anchor="end">${round(most)}</text>
<text x="${LEFT - 6}" y="${HEIGHT - BOTTOM}" text-anchor="end">0</text>
<text x="${WIDTH}" y="${HEIGHT - 5}" text-anchor="end">${round(lastSecond)} s</text>
<polyline points="${line}" fill="none" stroke="#07c" stroke-width="1.5"/>
</svg>`
}

function verdictOf({ isInterrupted, problems }: SoakReport): string {
  const verdict = problems.length === 0 ? 'Passed' : `Failed: ${problems.length} problems`
  return isInterrupted ? `${verdict} (interrupted)` : verdict
}

function flatnessCells(found: Flatness): string[] {
  if (found.kind === 'too_few') return ['', '', '', `too few measurements (${found.points})`]
  const cells = [found.median, found.growth, found.allowed].map((value) => value.toFixed(1))
  return [...cells, found.kind === 'flat' ? 'flat' : '**grows**']
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

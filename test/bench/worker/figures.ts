import { readFileSync } from 'node:fs'

/** What one run of one kind has measured, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>

export type Series = { readonly min: number; readonly median: number; readonly max: number }

/** Over the runs, for each figure. */
export function summarize(runs: readonly Figures[]): Record<string, Series> {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run)))]
  return Object.fromEntries(names.map((name) => [name, series(runs.flatMap((run) => run[name] ?? []))]))
}

function series(values: readonly number[]): Series {
  const sorted = values.toSorted((a, b) => a - b)
  return { min: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

/** A Markdown table, ready for the documentation. */
export function table(results: Readonly<Record<string, Readonly<Record<string, Series>>>>): string {
  const rows = Object.entries(results).flatMap(([kind, figures]) =>
    Object.entries(figures).map(([name, { min, median, max }]) => [
      kind,
      name,
      ...[min, median, max].map(text),
    ]),
  )
  const head = ['What', '', 'Min', 'Median', 'Max']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, i) => (i < 2 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return `${[line(head), line(rule), ...rows.map(line)].join('\n')}\n`
}

function text(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Processor time of a process in microseconds: a figure of Linux, in hundredths of a second. */
export function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

export function peakMiB(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

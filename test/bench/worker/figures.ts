import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

/** What one run of one kind has measured, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>

export type Series = { readonly min: number; readonly median: number; readonly max: number }

/** Over the runs, for each figure. */
export function summarize(runs: readonly Figures[]): Record<string, Series> {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run)))]
  return Object.fromEntries(names.map((name) => [name, series(runs.flatMap((run) => run[name] ?? []))]))
}

function series(values: readonly number[]): Series {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
}

/** Markdown tables, ready for the documentation: one for each set of figures. A rate has its minimum and maximum as well. */
export function tables(results: Readonly<Record<string, Readonly<Record<string, Series>>>>): string {
  const kinds = Object.entries(results)
  const alike = Map.groupBy(kinds, ([, figures]) => Object.keys(figures).join())
  return [...alike.values()].map((group) => table(group)).join('\n')
}

function table(
  kinds: readonly (readonly [kind: string, figures: Readonly<Record<string, Series>>])[],
): string {
  const names = Object.keys(kinds[0]?.[1] ?? {})
  const head = ['What', ...names]
  const rows = kinds.map(([kind, figures]) => [kind, ...names.map((name) => cell(name, figures[name]))])
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const padded = (cells: readonly string[]) =>
    cells.map((content, i) => (i === 0 ? content.padEnd(widths[i] ?? 0) : content.padStart(widths[i] ?? 0)))
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [padded(head), rule, ...rows.map(padded)].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function cell(name: string, of: Series = { min: 0, median: 0, max: 0 }): string {
  return name.endsWith('/s') ? [of.min, of.median, of.max].map(text).join(' / ') : text(of.median)
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

/** Processor time of a Redis server in microseconds, finer than `cpuUs`. */
export async function redisCpuUs(redis: Redis): Promise<number> {
  const facts = await redis.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(facts)?.[1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6
}

/** Resident memory of a process: now, or its peak. */
export function residentMiB(pid: number, which: 'now' | 'peak'): number {
  const field = which === 'now' ? 'VmRSS' : 'VmHWM'
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024
}

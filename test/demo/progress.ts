import { setTimeout as sleep } from 'node:timers/promises'
import { canShowLive, clearLive, count, print, showLive } from './terminal.ts'
import { scrapeWorker, type WorkerMetrics } from './worker-metrics.ts'

const LIVE_EVERY_MS = 500
const RATE_OVER_MS = 3_000
const SILENT_FOR_MS = 15_000
const BAR_WIDTH = 20

export type ProgressOptions = {
  metricsUrl: string
  /** If absent, until `isDone` or `stop`. */
  forMs?: number
  /** Between two lines when the output is not a terminal. */
  printEveryMs: number
  isDone?(metrics: WorkerMetrics): boolean
  stop: AbortSignal
}

/** Shows the progress of the worker from its metrics. Returns false if the time is up before `isDone`. */
export async function showProgress(options: ProgressOptions): Promise<boolean> {
  const { metricsUrl, forMs, printEveryMs, isDone, stop } = options
  const startedMs = performance.now()
  const seen: { atMs: number; consumed: number }[] = []
  let printedMs = startedMs
  try {
    while (true) {
      stop.throwIfAborted()
      const metrics = await scrapeWithin(SILENT_FOR_MS, metricsUrl, stop)
      const nowMs = performance.now()
      if (isDone?.(metrics)) return true
      seen.push({ atMs: nowMs, consumed: metrics.consumed })
      while (seen[1] !== undefined && seen[1].atMs < nowMs - RATE_OVER_MS) seen.shift()
      const elapsedMs = nowMs - startedMs
      const line = progressLine(metrics, perSecond(seen), elapsedMs)
      if (canShowLive()) showLive(`  ${bar(elapsedMs, forMs)}${line}`)
      else if (nowMs - printedMs >= printEveryMs) {
        print(`  ${line}`)
        printedMs = nowMs
      }
      const leftMs = forMs === undefined ? LIVE_EVERY_MS : forMs - elapsedMs
      if (leftMs <= 0) return isDone === undefined
      await sleep(Math.min(LIVE_EVERY_MS, leftMs), undefined, { signal: stop }).catch(() => undefined)
    }
  } finally {
    clearLive()
  }
}

/** When a worker dies, its exit is noticed a little later than the first failed scrape. */
async function scrapeWithin(ms: number, url: string, stop: AbortSignal): Promise<WorkerMetrics> {
  const deadline = performance.now() + ms
  while (true) {
    try {
      return await scrapeWorker(url)
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(LIVE_EVERY_MS, undefined, { signal: stop }).catch(() => undefined)
      stop.throwIfAborted()
    }
  }
}

function progressLine(metrics: WorkerMetrics, rate: number, elapsedMs: number): string {
  return [
    `${Math.round(elapsedMs / 1000)} s`.padStart(5),
    `${count(metrics.consumed)} records`.padStart(15),
    `${count(rate)}/s`.padStart(7),
    `lag ${metrics.lag === undefined ? '–' : count(metrics.lag)}`.padEnd(8),
    `${metrics.devices === undefined ? '–' : count(metrics.devices)} devices`,
    `${count(metrics.deadLetters)} dead letters`,
  ].join('  ')
}

function perSecond(seen: readonly { atMs: number; consumed: number }[]): number {
  const [first, last] = [seen[0], seen.at(-1)]
  if (first === undefined || last === undefined || last.atMs === first.atMs) return 0
  return Math.round(((last.consumed - first.consumed) * 1000) / (last.atMs - first.atMs))
}

function bar(elapsedMs: number, forMs: number | undefined): string {
  if (forMs === undefined) return ''
  const done = Math.min(BAR_WIDTH, Math.round((elapsedMs / forMs) * BAR_WIDTH))
  return `${'█'.repeat(done)}${'░'.repeat(BAR_WIDTH - done)}`
}

import { parseMetrics, type Sample } from '../support/processes/parse-metrics.ts'

/** The metrics that the demo shows; a gauge without a value yet is undefined. */
export type WorkerMetrics = {
  /** By result. */
  messages: Readonly<Record<string, number>>
  consumed: number
  lag: number | undefined
  devices: number | undefined
  deadLetters: number
}

export function readWorkerMetrics(samples: readonly Sample[]): WorkerMetrics {
  const values = (name: string) => samples.filter((sample) => sample.name === `cache_service_${name}`)
  const sum = (name: string) => values(name).reduce((total, { value }) => total + value, 0)
  const known = (name: string) => (values(name).length === 0 ? undefined : sum(name))
  const messages: Record<string, number> = {}
  for (const { labels, value } of values('messages_total')) {
    const result = labels['result'] ?? ''
    messages[result] = (messages[result] ?? 0) + value
  }
  return {
    messages,
    consumed: sum('messages_total'),
    lag: known('consumer_lag'),
    devices: known('devices'),
    deadLetters: sum('dead_letters_total'),
  }
}

export async function scrapeWorker(url: string): Promise<WorkerMetrics> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return readWorkerMetrics(parseMetrics(await response.text()))
}

import type { DeadLetter, DeviceRow } from './findings.ts'
import { count, paint, print, printHeading, table } from './terminal.ts'
import type { WorkerMetrics } from './worker-metrics.ts'

/** What the simulated normalizer reports when it stops. */
export type Produced = {
  produced: number
  invalid: number
  withoutMetadata: number
  devices: number
}

/** Reads the log of the normalizer; throws if its last line is missing. */
export function parseProduced(log: string): Produced {
  for (const line of log.trim().split('\n').toReversed()) {
    if (!line.startsWith('{')) continue
    const { msg, ...rest }: Record<string, unknown> = JSON.parse(line)
    if (msg !== 'stopped') continue
    return {
      produced: Number(rest['produced']),
      invalid: Number(rest['invalid']),
      withoutMetadata: Number(rest['without_metadata']),
      devices: Number(rest['devices']),
    }
  }
  throw new Error('the simulated normalizer has not reported how much it produced')
}

/** The answer of the API for one device, and how long it took. */
export function printLookup(url: string, answer: string, milliseconds: number): void {
  printHeading('The same over HTTP')
  print(`  curl ${url}   ${paint.dim(`${milliseconds.toFixed(1)} ms, median of 100`)}`)
  print(`  ${answer}`)
}

export function printDevices(total: number, rows: readonly DeviceRow[]): void {
  printHeading(`Redis: ${rows.length} of ${count(total)} devices, each in a hash device:<id>:metadata`)
  const heading = ['device', 'datatype', 'unit', 'persist', 'last_updated', 'expires in']
  const cells = rows.map(({ deviceId, metadata, ttlSeconds }) => [
    deviceId,
    metadata['datatype_name'] ?? '–',
    metadata['datatype_unit'] ?? '–',
    metadata['persist'] ?? '–',
    metadata['last_updated'] ?? '–',
    duration(ttlSeconds),
  ])
  for (const line of table([heading, ...cells])) print(line)
}

export function printDeadLetter({ headers, error }: DeadLetter, errorTopic: string): void {
  printHeading(`Kafka: a dead letter from ${errorTopic}`)
  const { source_topic: topic, source_partition: partition, source_offset: offset, reason } = headers
  const lines = [
    ['reason', reason ?? '–'],
    ['error', error],
    ['record', `${topic}, partition ${partition}, offset ${offset}, key ${headers['source_key'] ?? '–'}`],
    ['original', headers['original_value'] ?? '–'],
  ]
  for (const [label = '', text = ''] of lines) print(`  ${paint.dim(label.padEnd(9))} ${prefix(text, 96)}`)
}

const MEANINGS: readonly { result: string; label: string; meaning: string; always?: true }[] = [
  { result: 'applied', label: 'applied', meaning: 'newest of their device: written to Redis', always: true },
  {
    result: 'superseded',
    label: 'superseded',
    meaning: 'a newer record of the device was in the same chunk: only that one was written',
    always: true,
  },
  { result: 'stale', label: 'stale', meaning: 'older than what Redis already held: not written' },
  { result: 'unchanged', label: 'unchanged', meaning: 'already in Redis: only the expiry was renewed' },
  { result: 'expired', label: 'expired', meaning: 'too old, would have expired already: not written' },
  { result: 'tombstone', label: 'tombstones', meaning: 'the device was deleted' },
  { result: 'skipped', label: 'skipped', meaning: 'without metadata: nothing to write', always: true },
  {
    result: 'dead_lettered',
    label: 'dead-lettered',
    meaning: 'invalid: sent to the error topic, with the reason',
    always: true,
  },
]

/** Returns true if all numbers add up. */
export function printSummary(produced: Produced, worker: WorkerMetrics, devicesInRedis: number): boolean {
  printHeading('What happened to the records')
  printRow('produced', produced.produced, 'by the simulated normalizer')
  for (const { result, label, meaning, always } of MEANINGS) {
    const amount = worker.messages[result] ?? 0
    if (always || amount > 0) printRow(label, amount, meaning)
  }
  print()
  const twice = worker.consumed - produced.produced
  const repeats = twice > 0 ? `; ${count(twice)} were delivered twice, which makes no difference` : ''
  const checks = [
    check(
      worker.consumed >= produced.produced,
      `every record is accounted for (${count(worker.consumed)} of ${count(produced.produced)}${repeats})`,
    ),
    check(
      worker.deadLetters >= produced.invalid,
      `every invalid record has a dead letter (${count(worker.deadLetters)} of ${count(produced.invalid)})`,
    ),
    check(
      devicesInRedis === produced.devices,
      `Redis holds every device that sent metadata (${count(devicesInRedis)} of ${count(produced.devices)})`,
    ),
  ]
  return checks.every(Boolean)
}

function printRow(label: string, amount: number, meaning: string): void {
  print(`  ${label.padEnd(14)} ${count(amount).padStart(9)}  ${paint.dim(meaning)}`)
}

function check(holds: boolean, claim: string): boolean {
  print(holds ? `  ${paint.green('✔')} ${claim}` : `  ${paint.red('✘')} failed: ${claim}`)
  return holds
}

function duration(seconds: number): string {
  if (seconds < 0) return 'never'
  const hours = Math.floor(seconds / 3600)
  return hours > 0 ? `${hours} h ${Math.floor((seconds % 3600) / 60)} min` : `${Math.floor(seconds / 60)} min`
}

function prefix(text: string, length: number): string {
  const oneLine = text.replaceAll(/\s+/g, ' ')
  return oneLine.length > length ? `${oneLine.slice(0, length - 1)}…` : oneLine
}

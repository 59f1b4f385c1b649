// The simulated normalizer as a program. Time earns credit at the given rate, and records spend it. The credit is capped
// at one second's worth, so that an outage of Kafka is not followed by a flood.

import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDeviceFleet } from './device-fleet.ts'
import { normalizerHelp, parseNormalizerOptions, type NormalizerOptions } from './normalizer-options.ts'
import { createSimulatedProducer, type SimulatedProducer } from './produce.ts'
import type { SimulatedRecord } from './simulated-record.ts'

const TICK_MS = 50
const REPORT_EVERY_MS = 10_000
const RETRY_MS = 2_000
const MAX_BATCH = 5_000

function log(level: 'info' | 'warn', msg: string, fields: Readonly<Record<string, unknown>> = {}): void {
  const line = { level, time: new Date().toISOString(), service: 'simulated_normalizer', msg, ...fields }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Tries until it succeeds; returns false if it is stopped before. */
async function persist(what: string, attempt: () => Promise<void>, stop: AbortSignal): Promise<boolean> {
  while (!stop.aborted) {
    try {
      await attempt()
      return true
    } catch (error) {
      log('warn', what, { error: error instanceof Error ? error.message : String(error) })
      await pause(RETRY_MS, stop)
    }
  }
  return false
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal: stop }).catch(() => undefined)
}

class Tally {
  readonly #startedMs: number
  readonly #devices = new Set<string>()
  readonly #outcomes = { update: 0, skipped: 0, tombstone: 0, rejected: 0 }
  #produced = 0
  #unacknowledged = 0

  constructor(startedMs: number) {
    this.#startedMs = startedMs
  }

  /** @param acknowledged false: sending was stopped; Kafka may still have received some of them. */
  add(records: readonly SimulatedRecord[], acknowledged: boolean): void {
    if (!acknowledged) {
      this.#unacknowledged += records.length
      return
    }
    this.#produced += records.length
    for (const { about } of records) {
      this.#outcomes[about.outcome] += 1
      if (about.outcome === 'update') this.#devices.add(about.deviceId)
    }
  }

  summary(nowMs: number): Readonly<Record<string, number>> {
    const { update, skipped, rejected } = this.#outcomes
    return {
      produced: this.#produced,
      unacknowledged: this.#unacknowledged,
      per_second: Math.round((this.#produced * 1000) / Math.max(1, nowMs - this.#startedMs)),
      updates: update,
      without_metadata: skipped,
      invalid: rejected,
      devices: this.#devices.size,
    }
  }
}

async function produce(
  options: NormalizerOptions,
  producer: SimulatedProducer,
  stop: AbortSignal,
): Promise<void> {
  const { rate, seconds } = options
  const fleet = createDeviceFleet(options)
  const startMs = Date.now()
  const endMs = seconds === 0 ? Infinity : startMs + seconds * 1000
  const tally = new Tally(startMs)
  let reportMs = startMs + REPORT_EVERY_MS
  let earnedMs = startMs
  let credit = 0

  while (!stop.aborted) {
    const nowMs = Math.min(Date.now(), endMs)
    credit = Math.min(credit + ((nowMs - earnedMs) * rate) / 1000, Math.max(rate, 1))
    earnedMs = nowMs
    const records = fleet.records(Math.min(Math.floor(credit), MAX_BATCH), nowMs)
    credit -= records.length
    if (records.length > 0) {
      const sent = await persist('could not send, will try again', () => producer.send(records), stop)
      tally.add(records, sent)
    } else if (nowMs === endMs) {
      break
    }
    if (Date.now() >= reportMs) {
      reportMs += REPORT_EVERY_MS
      log('info', 'producing', tally.summary(Date.now()))
    }
    if (credit < MAX_BATCH) await pause(TICK_MS, stop)
  }
  await producer.flush()
  log('info', 'stopped', tally.summary(Date.now()))
}

async function run(options: NormalizerOptions, stop: AbortSignal): Promise<void> {
  const { brokers, topic, rate, devices, seed, invalidPercent, seconds } = options
  log('info', 'starting', { brokers, topic, rate, devices, seed, invalid_percent: invalidPercent, seconds })
  const producer = createSimulatedProducer({ brokers, topic, retries: 1, connectionTimeoutMs: 3_000 })
  try {
    if (await persist('waiting for Kafka', () => producer.connect(), stop))
      await produce(options, producer, stop)
  } finally {
    await producer.disconnect()
  }
}

function stopOnSignals(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())
  return stop.signal
}

if (process.argv.includes('--help')) {
  process.stdout.write(normalizerHelp())
} else {
  const parsed = parseNormalizerOptions(process.env, randomInt(0x1_0000_0000))
  if ('problems' in parsed) {
    process.stderr.write(`${parsed.problems.join('\n')}\n`)
    process.exitCode = 2
  } else {
    await run(parsed.options, stopOnSignals())
  }
}

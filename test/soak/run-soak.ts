import { setTimeout as sleep } from 'node:timers/promises'
import { aborted } from '../../cache-service/lifecycle/sleep.ts'
import { messageOf } from '../../shared/errors.ts'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { eventually, patiently } from '../support/eventually.ts'
import { startPollingReader, type PollingReader } from '../support/oracle/polling-reader.ts'
import { startClients } from './clients.ts'
import { FAULTS } from './faults.ts'
import { judgeFlatness, type Flatness } from './flatness.ts'
import { ERROR_TOPIC, startSoakPlatform, TOPIC, type SoakPlatform } from './platform.ts'
import type { FaultReport, SoakReport } from './report.ts'
import { committedBy, lagOf, measure, SERIES, type Sample, type SeriesName } from './samples.ts'
import { Traffic } from './traffic.ts'

const PEAK_WARM_UP_MS = 5_000
const PEAK_MS = 10_000
const MOST_PEAK_WINDOWS = 12
const SAMPLE_INTERVAL_MS = 3_000
const FAULT_INTERVAL_MS = 30_000
/**
 * A fault from which the service has not recovered by then is a problem, unless records have to be read again: all of them at
 * most, which takes longer the longer the load has lasted.
 */
const RECOVERS_WITHIN_MS = 180_000
/** Lag that is normal at the given rate. */
const CALM_LAG_SECONDS = 3
const READ_DEVICES = 50
const MOST_SHOWN = 10

export type SoakOptions = {
  readonly minutes: number
  readonly seed: number
  readonly note: (text: string) => void
  /** Ends the load early; everything is still checked. */
  readonly stop: AbortSignal
}

export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  options.note('starting Kafka, Redis, an API and two workers')
  const platform = await startSoakPlatform()
  try {
    return await soak(platform, options)
  } finally {
    await platform.stop()
  }
}

async function soak(platform: SoakPlatform, { minutes, note, seed, stop }: SoakOptions): Promise<SoakReport> {
  const { api, kafka, redis } = platform
  const random = createSeededRandom(seed)
  const traffic = new Traffic(kafka.brokers, TOPIC)
  await traffic.connect()
  const startedAt = new Date().toISOString()
  const peakPerSecond = await measurePeak(platform, traffic, stop)
  const perSecond = Math.max(100, peakPerSecond / 2)
  await Promise.race([
    aborted(stop),
    within(() => assertRecovered(platform, CALM_LAG_SECONDS * perSecond), RECOVERS_WITHIN_MS),
  ])
  // At the peak rate, half of which is left.
  const rereadMs = () => (traffic.acknowledged / perSecond) * 1_000
  note(`peak ${Math.round(peakPerSecond)} records/s; now ${Math.round(perSecond)} for ${minutes} minutes`)

  const reader = startPollingReader(redis, () => traffic.deviceIds.slice(0, READ_DEVICES))
  const clients = startClients(api.apiUrl, traffic.deviceIds, () => random.fraction())
  const [over, samples, faults, problems] = [
    new AbortController(),
    [] as Sample[],
    [] as FaultReport[],
    [] as string[],
  ]
  const startedMs = performance.now()
  const seconds = () => (performance.now() - startedMs) / 1_000
  const timer = setTimeout(() => over.abort(), minutes * 60_000)
  const ended = AbortSignal.any([over.signal, stop])
  let fault: string | undefined
  const sampling = (async () => {
    let last = { seconds: seconds(), acknowledged: traffic.acknowledged }
    while (!ended.aborted) {
      await sleep(SAMPLE_INTERVAL_MS, undefined, { signal: ended }).catch(() => undefined)
      const wasCalm = fault === undefined
      const values = await measure(platform)
      const now = { seconds: seconds(), acknowledged: traffic.acknowledged }
      const rate = (now.acknowledged - last.acknowledged) / Math.max(0.001, now.seconds - last.seconds)
      last = now
      samples.push({
        seconds: now.seconds,
        isCalm: wasCalm && fault === undefined,
        values: { ...values, perSecond: rate },
      })
      note(
        `${now.seconds.toFixed(0).padStart(5)} s  ${rate.toFixed(0).padStart(6)}/s  lag ${String(values.lag ?? '?').padStart(7)}  ` +
          `worker ${values.workerMiB?.toFixed(0) ?? '?'} MiB  ${fault ?? ''}`,
      )
    }
  })()
  const faulting = (async () => {
    const order: string[] = []
    for (let next = FAULT_INTERVAL_MS; !ended.aborted;) {
      await sleep(Math.max(0, next - (performance.now() - startedMs)), undefined, { signal: ended }).catch(
        () => undefined,
      )
      if (ended.aborted) return
      // Each kind once before any comes twice.
      if (order.length === 0) order.push(...shuffled(Object.keys(FAULTS), () => random.fraction()))
      fault = order.pop() ?? ''
      const report = await causeFault(platform, reader, fault, {
        calmLag: CALM_LAG_SECONDS * perSecond,
        ended,
        longestRecoveryMs: RECOVERS_WITHIN_MS + rereadMs(),
        seconds,
      })
      faults.push(report)
      if (report.recovery === 'never') problems.push(`no recovery after: ${report.name}`)
      fault = undefined
      next = Math.max(next + FAULT_INTERVAL_MS, performance.now() - startedMs + FAULT_INTERVAL_MS / 3)
    }
  })()
  const parts = [traffic.run(perSecond, ended), sampling, faulting]
  try {
    await Promise.all(parts)
  } catch (error) {
    problems.push(messageOf(error))
  }
  clearTimeout(timer)
  over.abort()
  await Promise.allSettled(parts)
  note('at rest: comparing everything')
  problems.push(...(await problemsAtRest(platform, traffic, reader, stop, RECOVERS_WITHIN_MS + rereadMs())))
  await clients.stop()

  const flatness = new Map<SeriesName, Flatness>()
  const half = seconds() / 2
  for (const [name, { allowance, title }] of Object.entries(SERIES) as [
    SeriesName,
    (typeof SERIES)[SeriesName],
  ][]) {
    if (allowance === undefined) continue
    const points = samples.flatMap(({ isCalm, seconds: at, values }) => {
      const value = values[name]
      return isCalm && value !== undefined ? [{ seconds: at, value }] : []
    })
    const found = judgeFlatness(points, Math.min(half, (samples.at(-1)?.seconds ?? 0) / 2), allowance)
    flatness.set(name, found)
    if (found.kind === 'grows') problems.push(`${title}: grew by ${found.growth.toFixed(1)}`)
    if (found.kind === 'too_few' && !stop.aborted) problems.push(`${title}: too few measurements`)
  }
  if (clients.events === 0) problems.push('the event clients received nothing')
  return {
    ...{
      seed,
      startedAt,
      minutes: seconds() / 60,
      peakPerSecond,
      perSecond,
      samples,
      faults,
      flatness,
      problems,
    },
    facts: {
      'records that Kafka acknowledged': traffic.acknowledged,
      'requests to Kafka that failed and were repeated': traffic.failures,
      'lookups of 20 devices': clients.lookups,
      'lookups that failed': clients.failedLookups,
      'events received by 5 clients': clients.events,
      'reconnects of event clients': clients.reconnects,
      'polls by the reader of Redis': reader.polls,
    },
    isInterrupted: stop.aborted,
    workerLog: platform.steady.output,
  }
}

/** Records per second that the service applies while they are sent as fast as Kafka takes them. */
async function measurePeak(platform: SoakPlatform, traffic: Traffic, stop: AbortSignal): Promise<number> {
  const over = new AbortController()
  const sending = traffic.runFlatOut(AbortSignal.any([over.signal, stop]))
  const pause = (ms: number) => sleep(ms, undefined, { signal: stop }).catch(() => undefined)
  const applied = () => patiently(() => committedBy(platform))
  await pause(PEAK_WARM_UP_MS)
  let peak = 0
  // On a busy machine the first records may take longer.
  for (let windows = 0; peak <= 0 && windows < MOST_PEAK_WINDOWS && !stop.aborted; windows++) {
    const [before, startedMs] = [await applied(), performance.now()]
    await pause(PEAK_MS)
    const [after, endedMs] = [await applied(), performance.now()]
    peak = ((after - before) * 1_000) / (endedMs - startedMs)
  }
  over.abort()
  await sending
  if (peak <= 0 && !stop.aborted)
    throw new Error(`the worker applies nothing: ${platform.steady.output.slice(-2_000)}`)
  return peak
}

async function causeFault(
  platform: SoakPlatform,
  reader: PollingReader,
  name: string,
  {
    calmLag,
    ended,
    longestRecoveryMs,
    seconds,
  }: {
    readonly calmLag: number
    readonly ended: AbortSignal
    readonly longestRecoveryMs: number
    readonly seconds: () => number
  },
): Promise<FaultReport> {
  const fromSeconds = seconds()
  await FAULTS[name]?.(platform, reader)
  const endSeconds = seconds()
  const recovering = within(() => assertRecovered(platform, calmLag), longestRecoveryMs).then(
    () => seconds() - endSeconds,
    () => 'never' as const,
  )
  const recovery = await Promise.race([recovering, aborted(ended).then(() => 'not measured' as const)])
  return { name, fromSeconds, lastedSeconds: endSeconds - fromSeconds, recovery }
}

async function assertRecovered(platform: SoakPlatform, calmLag: number): Promise<void> {
  const { api, others, steady } = platform
  for (const worker of [steady, ...others]) {
    const { body, status } = await worker.get('/readyz')
    if (status !== 200) throw new Error(body)
  }
  if (!(await api.isReady())) throw new Error('the api is not ready')
  const lag = await lagOf(platform)
  if (lag > calmLag) throw new Error(`the lag is ${lag}`)
}

async function problemsAtRest(
  platform: SoakPlatform,
  traffic: Traffic,
  reader: PollingReader,
  stop: AbortSignal,
  timeoutMs: number,
): Promise<string[]> {
  const { admin, api, kafkaClient, others, proxy, redis, steady } = platform
  const problems: string[] = []
  proxy.become('open')
  // Ctrl-C in a terminal reaches the workers as well.
  if (!steady.isRunning && !stop.aborted) problems.push('the worker that is never stopped has ended')
  if (![steady, ...others].some(({ isRunning }) => isRunning)) await platform.addWorker()
  try {
    await traffic.end()
    await eventually(
      async () => {
        const lag = await lagOf(platform)
        if (lag > 0) throw new Error(`the lag is ${lag}`)
      },
      { timeoutMs, everyMs: 500, describe: 'the workers catch up' },
    )
    const differences = await traffic.differences(redis, {
      kafka: kafkaClient,
      admin,
      errorTopic: ERROR_TOPIC,
    })
    problems.push(...differences.slice(0, MOST_SHOWN))
    if (differences.length > MOST_SHOWN)
      problems.push(`… and ${differences.length - MOST_SHOWN} more differences`)
  } catch (error) {
    problems.push(messageOf(error))
  }
  problems.push(...(await reader.stop()))
  const fatal = [steady, ...others].flatMap((worker) =>
    worker.logLines().filter(({ level }) => level === 'fatal'),
  )
  problems.push(...fatal.map(({ msg }) => `a worker wrote: ${msg}`))
  if (/unhandled|uncaught/i.test(api.output)) problems.push('the api wrote of an unhandled error')
  return problems
}

function within(check: () => Promise<void>, timeoutMs: number): Promise<void> {
  return eventually(check, { timeoutMs, everyMs: 250 })
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

// `make demo`: shows the whole service at work on this machine, in about a minute. Kafka and Redis are real; the
// service and the simulated normalizer are processes of their own, as in production. `--keep` (`make up`) leaves
// everything running until Ctrl-C. Everything that was started is stopped again, also after a failure.

import { copyFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { messageOf } from '../../shared/errors.ts'
import { readDeadLetter, lookUp, readSomeDevices } from './findings.ts'
import type { Platform } from './platform.ts'
import { ProgramFailed, type Program } from './program.ts'
import { showProgress } from './progress.ts'
import { parseProduced, printDeadLetter, printDevices, printLookup, printSummary } from './report.ts'
import { settingsOf, startNormalizer, startPlatform, startService, type Run, type Service } from './start.ts'
import { clearLive, count, paint, print, printDone, printHeading, showLive } from './terminal.ts'
import { scrapeWorker } from './worker-metrics.ts'

const TRAFFIC_MS = 30_000
const CAUGHT_UP_WITHIN_MS = 60_000

const HELP = `node test/demo/demo.ts [--keep]

  Starts Kafka, Redis, cache-service and a simulated normalizer, shows them at work for ${TRAFFIC_MS / 1000} s, shows what
  Redis and the error topic contain, and stops everything.

  --keep    keep everything running until Ctrl-C

  With TEST_KAFKA=host:port and TEST_REDIS=redis://host:port it uses running servers instead. There it creates
  topics, a group and a Redis database of its own, and removes them at the end.
`

class Interrupted extends Error {
  override name = 'Interrupted'
}

async function demonstrate(run: Run): Promise<void> {
  print(
    paint.bold('cache-service: a demonstration of about a minute.') + paint.dim(' Ctrl-C stops everything.'),
  )
  print()
  const platform = await startPlatform(run)
  const service = await startService(run, platform)
  const normalizer = await startNormalizer(run, platform)
  const metricsUrl = `${service.healthUrl}/metrics`

  printHeading(`${TRAFFIC_MS / 1000} seconds of traffic, from the metrics of the worker`)
  await showProgress({ metricsUrl, forMs: TRAFFIC_MS, printEveryMs: 5_000, stop: run.stop })
  await normalizer.stop()
  const produced = parseProduced(normalizer.log)
  const caughtUp = await showProgress({
    metricsUrl,
    forMs: CAUGHT_UP_WITHIN_MS,
    printEveryMs: 5_000,
    isDone: ({ consumed, lag }) => consumed >= produced.produced && lag === 0,
    stop: run.stop,
  })
  if (!caughtUp)
    throw new ProgramFailed(`The worker did not catch up within ${CAUGHT_UP_WITHIN_MS / 1000} s.`)
  const worker = await scrapeWorker(metricsUrl)
  const shown = `${count(worker.consumed)} records`
  printDone('done', `the normalizer has stopped, and the worker has read its ${shown}: lag 0`)

  const { total, rows } = await readSomeDevices(platform.redis)
  printDevices(total, rows)
  const { deviceId = '' } = rows[0] ?? {}
  const lookup = await lookUp(`${service.apiUrl}/api/devices/${encodeURIComponent(deviceId)}`)
  printLookup(lookup.url, lookup.answer, lookup.milliseconds)
  if (worker.deadLetters > 0) {
    showLive('  reading the error topic …')
    printDeadLetter(
      await readDeadLetter(platform.brokers, platform.errorTopic, run.stop),
      platform.errorTopic,
    )
  }
  const addsUp = printSummary(produced, worker, total)
  if (!addsUp) throw new ProgramFailed('The numbers do not add up.')
}

async function keepRunning(run: Run): Promise<void> {
  print(paint.bold('cache-service: the whole service on this machine, until Ctrl-C.'))
  print()
  const platform = await startPlatform(run)
  const service = await startService(run, platform)
  await startNormalizer(run, platform)
  printHeading('Look around')
  for (const line of thingsToTry(platform, service, run.programs)) print(`  ${line}`)
  print()
  await showProgress({ metricsUrl: `${service.healthUrl}/metrics`, printEveryMs: 30_000, stop: run.stop })
}

function thingsToTry(platform: Platform, service: Service, programs: readonly Program[]): string[] {
  const { hostname, port, pathname, password } = new URL(platform.redisUrl)
  const login = password === '' ? '' : ' --askpass'
  const redis = `redis-cli -h ${hostname} -p ${port || 6379} -n ${pathname.slice(1) || 0}${login}`
  const cli = 'npm run -s cli --'
  const settings = Object.entries({ ...settingsOf(platform), REDIS_URL: withoutPassword(platform.redisUrl) })
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  return [
    `${service.apiUrl}  (the web page; its API is described at ${service.apiUrl}/docs)`,
    `curl ${service.apiUrl}/api/devices/efento-0000`,
    `curl -N ${service.apiUrl}/api/events`,
    `${cli} --api ${service.apiUrl} watch`,
    `export ${settings}`,
    `${cli} info    (also: doctor, errors stats, lag --watch, explain --partition 0 --offset 0)`,
    `${redis} SCARD devices`,
    `${redis} HGETALL device:efento-0000:metadata`,
    `curl ${service.healthUrl}/readyz`,
    `curl -s ${service.healthUrl}/metrics | grep cache_service_messages_total`,
    ...programs.map(({ logPath }) => `tail -f ${logPath}`),
  ]
}

function withoutPassword(url: string): string {
  const shown = new URL(url)
  if (shown.password !== '') shown.password = '…'
  return shown.href
}

function printFailure(error: unknown, programs: readonly Program[]): void {
  print()
  print(paint.red(messageOf(error)))
  if (programs.length === 0) return
  const folder = mkdtempSync(join(tmpdir(), 'cache-service-demo-logs-'))
  for (const { name, log, logPath } of programs) {
    copyFileSync(logPath, join(folder, basename(logPath)))
    printHeading(`Last log lines of the ${name}`)
    for (const line of log.trim().split('\n').slice(-12)) print(`  ${line}`)
  }
  print()
  print(`The complete logs are in ${folder}`)
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  const unknown = args.find((arg) => arg !== '--keep')
  if (unknown !== undefined) {
    process.stderr.write(`Unknown option: ${unknown}\n\n${HELP}`)
    return 2
  }
  const keep = args.includes('--keep')
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(130)
      stopping.abort(new Interrupted(signal))
      print(paint.dim('Stopping everything … (press Ctrl-C again to exit immediately)'))
    })
  }
  const run: Run = {
    stop: stopping.signal,
    fail: (error) => stopping.abort(error),
    running: new AsyncDisposableStack(),
    programs: [],
  }
  const failure = await failureOf(() => (keep ? keepRunning(run) : demonstrate(run)), stopping.signal)
  showLive('  stopping everything …')
  const stopFailure = await failureOf(() => stopPrograms(run.programs))
  const toReport = [failure, stopFailure].find(
    (error) => error !== undefined && !(error instanceof Interrupted),
  )
  if (toReport !== undefined) printFailure(toReport, run.programs)
  const releaseFailure = await failureOf(() => run.running.disposeAsync())
  clearLive()
  if (toReport !== undefined) return 1
  if (releaseFailure !== undefined) {
    printFailure(releaseFailure, [])
    return 1
  }
  if (failure instanceof Interrupted) print('Everything is stopped, and nothing is left behind.')
  else printGoodbye()
  return failure instanceof Interrupted && !keep ? 130 : 0
}

/** The error that ended the work early, or the reason for stopping. */
async function failureOf(work: () => Promise<void>, stop?: AbortSignal): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return stop?.aborted ? stop.reason : error
  }
}

/** Stops the producer before the consumer. */
async function stopPrograms(programs: readonly Program[]): Promise<void> {
  const failures: unknown[] = []
  for (const program of programs.toReversed()) await program.stop().catch((error) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

function printGoodbye(): void {
  print()
  print('Everything is stopped, and nothing is left behind. Next:')
  print(`  ${paint.cyan('make up')}    keep it running, and look around`)
  print(`  ${paint.cyan('make test')}  run the checks and all tests`)
}

// KafkaJS sets timers in the past, and Node.js warns about it once per process.
process.removeAllListeners('warning')
process.on('warning', (warning) => {
  if (warning.name !== 'TimeoutNegativeWarning') process.stderr.write(`${warning.stack ?? warning.message}\n`)
})

process.exitCode = await main(process.argv.slice(2))

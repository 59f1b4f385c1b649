import { setTimeout as sleep } from 'node:timers/promises'
import { reservePort } from '../support/servers/free-port.ts'
import { preparePlatform, startServers, type Platform } from './platform.ts'
import { ProgramFailed, startProgram, type Program } from './program.ts'
import { paint, print, printDone, showLive } from './terminal.ts'

const READY_WITHIN_MS = 60_000
const RATE = 500
const DEVICES = 500
const SEED = 2025
const KINDS = { environment: '(already running)', container: '(container)', native: '(process)' }

export type Run = {
  /** Aborts on Ctrl-C, or when a program ends too early; the reason is the error to throw. */
  stop: AbortSignal
  fail(error: Error): void
  /** Releases everything at the end, in reverse order. */
  running: AsyncDisposableStack
  programs: Program[]
}

export async function startPlatform({ stop, running }: Run): Promise<Platform> {
  const startedMs = performance.now()
  print(paint.dim('  starting Kafka and Redis …'))
  const servers = await startServers(running)
  stop.throwIfAborted()
  const { kafka, redis } = servers
  printDone('Redis', `${redis.host}:${redis.port} ${paint.dim(KINDS[redis.kind])}`)
  printDone('Kafka', `${kafka.brokers.join(', ')} ${paint.dim(KINDS[kafka.kind])}`, startedMs)
  const platform = await preparePlatform(servers, running)
  stop.throwIfAborted()
  printDone('topics', `${platform.topic} (3 partitions), ${platform.errorTopic}`)
  if (kafka.kind === 'environment' || redis.kind === 'environment') {
    print(
      paint.dim('    on servers that were already running: under unique names, which are removed at the end'),
    )
  }
  return platform
}

async function start(run: Run, name: string, args: readonly string[], env: Record<string, string>) {
  const program = await startProgram({ name, args, env, onEarlyExit: run.fail })
  run.programs.push(program)
  run.running.defer(() => program.remove())
  run.stop.throwIfAborted()
  return program
}

/** The environment in which the service and `cache-cli` use this platform. */
export function settingsOf(platform: Platform) {
  return {
    KAFKA_BOOTSTRAP_SERVERS: platform.brokers.join(','),
    KAFKA_VALIDATED_DATA_TOPIC: platform.topic,
    KAFKA_ERROR_TOPIC: platform.errorTopic,
    KAFKA_CONSUMER_GROUP_ID: platform.group,
    REDIS_URL: platform.redisUrl,
  }
}

export type Service = {
  /** Serves `/livez`, `/readyz` and `/metrics`. */
  readonly healthUrl: string
  /** Serves the API and, at its root, the web page. */
  readonly apiUrl: string
}

/** Starts the three roles in one process, as a small site does; resolves once it is ready. */
export async function startService(run: Run, platform: Platform): Promise<Service> {
  const startedMs = performance.now()
  showLive('  starting the service …')
  const [health, api] = [await reservePort(), await reservePort()]
  run.running.defer(() => health.release())
  run.running.defer(() => api.release())
  const service = await start(run, 'service', ['cache-service/main.ts', 'all'], {
    ...settingsOf(platform),
    API_HOST: '127.0.0.1',
    PORT: String(api.port),
    METRICS_HOST: '127.0.0.1',
    METRICS_PORT: String(health.port),
    LAG_POLL_INTERVAL_S: '1',
  })
  const healthUrl = `http://127.0.0.1:${health.port}`
  const apiUrl = `http://127.0.0.1:${api.port}`
  await untilReady(`${healthUrl}/readyz`, run.stop)
  printDone('service', `ready: worker, api, kv-updater ${paint.dim(`(pid ${service.pid})`)}`, startedMs)
  printDone('page', apiUrl)
  return { healthUrl, apiUrl }
}

async function untilReady(url: string, stop: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS
  let lastAnswer = 'it does not answer'
  while (performance.now() < deadline) {
    stop.throwIfAborted()
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
      if (response.ok) return
      lastAnswer = (await response.text()).trim()
    } catch {
      // Not listening yet.
    }
    await sleep(100, undefined, { signal: stop }).catch(() => undefined)
  }
  throw new ProgramFailed(`The service was not ready within ${READY_WITHIN_MS / 1000} s: ${lastAnswer}`)
}

export async function startNormalizer(run: Run, platform: Platform): Promise<Program> {
  const normalizer = await start(run, 'normalizer', ['test/simulator/normalizer.ts'], {
    KAFKA_BOOTSTRAP_SERVERS: platform.brokers.join(','),
    KAFKA_VALIDATED_DATA_TOPIC: platform.topic,
    NORMALIZER_RATE: String(RATE),
    NORMALIZER_DEVICES: String(DEVICES),
    NORMALIZER_SEED: String(SEED),
  })
  const what = `${RATE} records per second from ${DEVICES} devices, 1 % of them invalid`
  printDone('normalizer', `simulated: ${what} ${paint.dim(`(pid ${normalizer.pid})`)}`)
  return normalizer
}

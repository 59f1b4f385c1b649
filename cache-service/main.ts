import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { Command, CommanderError } from 'commander'
import { messageOf } from '../shared/errors.ts'
import { formatProblems, parseConfig, type Config } from './config/config.ts'
import { includesLagMonitor } from './core/workers/lag-groups.ts'
import { readPackageVersion } from './package-version.ts'
import { OperatorError } from './lifecycle/service.ts'
import type { OpenRole } from './roles/process-parts.ts'
import { openLogOutput } from './telemetry/log-output.ts'
import { createLogger, type Logger } from './telemetry/logger.ts'

/**
 * The program: `cache-service <role>`. Besides cli/main.ts, the only file that touches `process`.
 *
 * Exit codes: 0 stopped by a signal · 1 failure, or the shutdown took too long · 2 invalid configuration.
 */
const EXIT_OK = 0
const EXIT_FAILURE = 1
const EXIT_CONFIGURATION = 2

const STDOUT = 1

const version = readPackageVersion()

type Role = { readonly description: string; load(config: Config): Promise<OpenRole[]> }

const openWorker = async () => (await import('./roles/worker.ts')).openWorker
const openApi = async () => (await import('./roles/api.ts')).openApi
const openLagMonitor = async () => (await import('./roles/lag-monitor.ts')).openLagMonitor
const openKvUpdater = async () => (await import('./roles/kv-updater.ts')).openKvUpdater

/** Loaded only to run: a signal during loading already has its handler, and `healthcheck` stays fast. */
const roles: Readonly<Record<string, Role>> = {
  worker: {
    description: 'read records from Kafka and keep the newest metadata of each device in Redis',
    load: async () => [await openWorker()],
  },
  api: {
    description: 'serve devices, state, events and the web page over HTTP',
    load: async () => [await openApi()],
  },
  'kv-updater': {
    description: 'store in Redis the key-values that are published on the update channel',
    load: async () => [await openKvUpdater()],
  },
  'lag-monitor': {
    description: 'measure the lag of consumer groups, also while no worker runs',
    load: async () => [await openLagMonitor()],
  },
  all: {
    description: 'run worker, api and kv-updater in one process, for small installations',
    load: async ({ lagMonitor }) => {
      const opened = [await openWorker(), await openKvUpdater(), await openApi()]
      return includesLagMonitor('all', lagMonitor) ? [...opened, await openLagMonitor()] : opened
    },
  },
}

const program = new Command('cache-service')
  .description('Keeps the newest metadata of every IoT device in Redis, fed from Kafka.')
  .version(version)
  .addHelpText(
    'after',
    `
All settings are environment variables; docs/configuration.md lists them. The most common ones:
  KAFKA_BOOTSTRAP_SERVERS  addresses of the Kafka brokers (kafka:9092)
  REDIS_HOST, REDIS_PORT   address of the Redis server (redis, 6379)
  REDIS_METADATA_TTL       seconds until a device without new records expires (86400)
  PORT                     port of the API and the web page (5011)
  METRICS_PORT             port of /livez, /readyz and /metrics (9464)
  LOG_LEVEL                debug, info, warn or error (INFO)

Exit codes: 0 stopped by a signal; 1 failure; 2 invalid configuration.`,
  )
  .exitOverride()

for (const [name, { description, load }] of Object.entries(roles)) {
  program
    .command(name)
    .description(description)
    .action(() => runRole(name, load))
}

program
  .command('healthcheck')
  .description('exit with 0 if the service on METRICS_PORT of this machine is ready (for Docker)')
  .option('--live', 'check whether it is alive rather than ready')
  .action(({ live }: { live?: true }) => healthcheck(live === true ? '/livez' : '/readyz'))

try {
  await program.parseAsync(process.argv)
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_CONFIGURATION
}

function readConfig(): Config | undefined {
  const parsed = parseConfig(process.env, (path) => readFileSync(path, 'utf8'))
  for (const warning of parsed.warnings) process.stderr.write(`warning: ${warning}\n`)
  if (parsed.kind === 'invalid') {
    process.stderr.write(`${formatProblems(parsed.problems)}\n`)
    process.exitCode = EXIT_CONFIGURATION
    return undefined
  }
  return parsed.config
}

async function runRole(name: string, load: Role['load']): Promise<void> {
  const config = readConfig()
  if (config === undefined) return
  const output = openLogOutput(STDOUT, () => performance.now())
  const log = createLogger(config.process.logLevel, output)
  const exit = (code: number): never => {
    output.flushAtExit()
    process.exit(code)
  }
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception: this is a bug')
    exit(EXIT_FAILURE)
  })
  const stop = stopOnSignals(log, config.process.shutdownTimeoutMs, exit)
  try {
    const processId = `${config.kafka.clientId}-${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`
    const context = { config, log, version, nodeVersion: process.version, processId, stop }
    const { runRoles } = await import('./roles/run-roles.ts')
    await runRoles(context, name, await load(config))
    exit(EXIT_OK)
  } catch (error) {
    if (error instanceof OperatorError) {
      log.fatal(error.message)
      exit(EXIT_CONFIGURATION)
    }
    log.fatal({ err: error }, messageOf(error))
    exit(EXIT_FAILURE)
  }
}

/** The first SIGTERM or SIGINT stops the roles; the second, or the deadline, ends the process immediately. */
function stopOnSignals(log: Logger, deadlineMs: number, exit: (code: number) => never): AbortSignal {
  const stop = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) {
      log.warn({ signal }, 'second signal received: exiting immediately')
      exit(EXIT_FAILURE)
    }
    log.info({ signal, deadlineMs }, 'stopping: finishing the work in progress')
    stop.abort()
    setTimeout(() => {
      log.error(
        { deadlineMs },
        'not finished within SHUTDOWN_TIMEOUT_S: exiting; records that were not committed will be read again',
      )
      exit(EXIT_FAILURE)
    }, deadlineMs).unref()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return stop.signal
}

async function healthcheck(path: '/livez' | '/readyz'): Promise<void> {
  const config = readConfig()
  if (config === undefined) return
  const { metricsHost, metricsPort } = config.process
  const address = metricsHost === '0.0.0.0' || metricsHost === '::' ? '127.0.0.1' : metricsHost
  const host = address.includes(':') ? `[${address}]` : address
  try {
    const response = await fetch(`http://${host}:${metricsPort}${path}`, {
      signal: AbortSignal.timeout(5_000),
    })
    process.stdout.write(`${await response.text()}\n`)
    process.exitCode = response.ok ? EXIT_OK : EXIT_FAILURE
  } catch (error) {
    process.stderr.write(`no response from ${host}:${metricsPort}: ${messageOf(error)}\n`)
    process.exitCode = EXIT_FAILURE
  }
}

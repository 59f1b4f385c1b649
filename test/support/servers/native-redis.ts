import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { reservePort } from './free-port.ts'
import { pingRedis, type PingTarget } from './redis-ping.ts'
import { openServerFolder, ServerProcess, type OwnServer } from './server-process.ts'
import { createTlsFiles, type TlsFiles } from './tls-certificates.ts'

export type RedisServer = {
  kind: 'environment' | 'container' | 'native'
  host: string
  port: number
  url: string
  password: string | undefined
  stop(): Promise<void>
}

export type OwnRedisOptions = {
  /** Further arguments of redis-server, such as `'--maxmemory', '3mb'`; they override the defaults. */
  args?: readonly string[]
  /** Default: a free port, kept across restarts. */
  port?: number
  password?: string
  /** Rules of ACL users by name, such as `{ reader: 'on >secret ~* +@read' }`. */
  aclUsers?: Readonly<Record<string, string>>
  /** TLS only (the plain port is closed); `mutual`: clients must present the certificate in `tls`. */
  tls?: boolean | 'mutual'
  /** Default: files of its own. Servers that connect to each other share them. */
  tlsFiles?: TlsFiles | undefined
  /** In cluster mode, with a port for the bus that no other test gets: the usual one, 10,000 above, may be any connection's. */
  isClusterNode?: boolean
}

/**
 * A Redis that a test may break. Nothing is persisted unless `args` say so; the folder survives restarts. `busPort`: of the bus of its
 * Cluster; 0 if it is no node of one.
 */
export type OwnRedis = RedisServer & OwnServer & { readonly busPort: number }

const run = promisify(execFile)

/**
 * The program that is started as a Redis server: another one in its place by TEST_REDIS_SERVER (`make valkey`, `make redis8`). Those
 * are built without TLS, so a server with TLS is always `redis-server`.
 */
export const REDIS_PROGRAM = process.env['TEST_REDIS_SERVER'] ?? 'redis-server'

/** Explains what is missing for a native Redis; undefined if it can be started. */
export async function whyNoNativeRedis(): Promise<string | undefined> {
  try {
    await run(REDIS_PROGRAM, ['--version'])
    return undefined
  } catch {
    return REDIS_PROGRAM !== 'redis-server'
      ? `TEST_REDIS_SERVER cannot be started: ${REDIS_PROGRAM}`
      : 'redis-server is not in PATH (as root on Debian or Ubuntu: apt-get install redis-server)'
  }
}

export async function startOwnRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const redis = await reserveOwnRedis(options)
  try {
    await redis.start()
    return redis
  } catch (error) {
    await redis.stop()
    throw error
  }
}

/** Prepares everything except the process: the address is known; `start()` starts the server. */
export async function reserveOwnRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const missing = await whyNoNativeRedis()
  if (missing !== undefined) throw new Error(`${missing}, or run \`make install\``)
  const reserved = await reservePort()
  const port = options.port ?? reserved.port
  const bus = options.isClusterNode === true ? await reservePort() : undefined
  const folder = openServerFolder('test-redis')
  const tls = options.tls ? (options.tlsFiles ?? (await createTlsFiles(folder.path))) : undefined
  const target: PingTarget = {
    host: '127.0.0.1',
    port,
    password: options.password,
    tls: tls && { ca: tls.ca, cert: tls.clientCertificate, key: tls.clientKey },
  }
  const server = new ServerProcess({
    name: `redis-server on port ${port}`,
    command: tls === undefined ? REDIS_PROGRAM : 'redis-server',
    args: redisArgs(options, { port, busPort: bus?.port }, folder.path, tls),
    folder: folder.path,
    readyTimeoutMs: 20_000,
    checkReady: () => pingRedis(target),
  })
  return {
    kind: 'native',
    host: '127.0.0.1',
    port,
    busPort: bus?.port ?? 0,
    url: redisUrl(port, options.password, tls !== undefined),
    password: options.password,
    tls,
    folder: folder.path,
    get pid() {
      return server.pid
    },
    get isRunning() {
      return server.isRunning
    },
    get log() {
      return server.log
    },
    start: (startOptions) => server.start(startOptions),
    kill: (signal) => server.kill(signal),
    restart: (startOptions) => server.restart(startOptions),
    stop: async () => {
      await server.kill('SIGKILL')
      await folder.remove()
      await reserved.release()
      await bus?.release()
    },
  }
}

function redisArgs(
  options: OwnRedisOptions,
  { busPort, port }: { readonly port: number; readonly busPort: number | undefined },
  folder: string,
  tls: TlsFiles | undefined,
): string[] {
  const ports = tls === undefined ? ['--port', String(port)] : ['--port', '0', '--tls-port', String(port)]
  const cluster = busPort === undefined ? [] : ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]
  const quiet = ['--save', '', '--appendonly', 'no', '--enable-debug-command', 'local']
  const password = options.password === undefined ? [] : ['--requirepass', options.password]
  const users = Object.entries(options.aclUsers ?? {}).flatMap(([name, rules]) => [
    '--user',
    name,
    ...rules.split(' '),
  ])
  return [
    ...['--bind', '127.0.0.1', ...ports, '--dir', folder, '--daemonize', 'no', ...cluster, ...quiet],
    ...tlsArgs(tls, options.tls === 'mutual'),
    ...password,
    ...users,
    ...(options.args ?? []),
  ]
}

function tlsArgs(tls: TlsFiles | undefined, isMutual: boolean): string[] {
  if (tls === undefined) return []
  return [
    ...['--tls-cert-file', tls.serverCertificatePath, '--tls-key-file', tls.serverKeyPath],
    ...['--tls-ca-cert-file', tls.caPath, '--tls-auth-clients', isMutual ? 'yes' : 'no'],
  ]
}

function redisUrl(port: number, password: string | undefined, isTls: boolean): string {
  const auth = password === undefined ? '' : `:${encodeURIComponent(password)}@`
  return `${isTls ? 'rediss' : 'redis'}://${auth}127.0.0.1:${port}`
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { patiently } from '../eventually.ts'
import { reservePort } from './free-port.ts'
import { REDIS_PROGRAM, startOwnRedis, type OwnRedis, type OwnRedisOptions } from './native-redis.ts'
import { pingRedis } from './redis-ping.ts'
import { openServerFolder, ServerProcess } from './server-process.ts'

export const PRIMARY_NAME = 'mymaster'

export type OwnSentinelsOptions = {
  /** Of the Redis servers; all have the same. */
  readonly password?: string
  readonly sentinelPassword?: string
  readonly redisArgs?: OwnRedisOptions['args']
  /** Default: 3. */
  readonly servers?: number
}

/** One primary with replicas, and three Sentinels that watch them. */
export type OwnSentinels = {
  readonly servers: readonly OwnRedis[]
  readonly sentinels: readonly ServerProcess[]
  /** Of all Sentinels, as ioredis takes them. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  /** The same, as REDIS_SENTINELS takes them. */
  readonly addresses: string
  /** The server that the Sentinels name. */
  primary(): Promise<OwnRedis>
  /** Resolves when all Sentinels name the same other server, which is writable. */
  failedOver(former: OwnRedis): Promise<OwnRedis>
  stop(): Promise<void>
}

const DOWN_AFTER_MS = 1_000

export async function startOwnSentinels(options: OwnSentinelsOptions = {}): Promise<OwnSentinels> {
  const { password, redisArgs = [], sentinelPassword, servers: count = 3 } = options
  const auth = password === undefined ? [] : ['--masterauth', password]
  const servers: OwnRedis[] = []
  const sentinels: Sentinel[] = []
  const stop = async () => {
    await Promise.all(sentinels.map((sentinel) => sentinel.stop()))
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    for (let i = 0; i < count; i++) {
      const first = servers[0]
      const role = first === undefined ? [] : ['--replicaof', first.host, String(first.port)]
      // Without a delay, a replica is ready at once.
      const args = ['--repl-diskless-sync-delay', '0', ...auth, ...role, ...redisArgs]
      servers.push(await startOwnRedis({ ...(password !== undefined && { password }), args }))
    }
    const [first] = servers
    if (first === undefined) throw new Error('there is no server')
    for (let i = 0; i < 3; i++) sentinels.push(await startSentinel(first, { password, sentinelPassword }))
  } catch (error) {
    await stop()
    throw error
  }

  const named = async () =>
    await Promise.all(sentinels.filter(({ process }) => process.isRunning).map((one) => one.primaryPort()))
  const serverOn = (port: number) => {
    const server = servers.find((one) => one.port === port)
    if (server === undefined)
      throw new Error(`the Sentinels name port ${port}, which none of the servers has`)
    return server
  }
  const nodes = sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
  const cluster: OwnSentinels = {
    servers,
    sentinels: sentinels.map(({ process }) => process),
    nodes,
    addresses: nodes.map(({ host, port }) => `${host}:${port}`).join(','),
    async primary() {
      const [port = 0] = await named()
      return serverOn(port)
    },
    async failedOver(former) {
      return await patiently(async () => {
        const ports = new Set(await named())
        if (ports.size !== 1 || ports.has(former.port)) throw new Error('not failed over')
        const server = serverOn([...ports][0] ?? 0)
        const client = new Redis(server.url)
        try {
          const [role] = await client.role()
          if (String(role) !== 'master') throw new Error('not promoted yet')
        } finally {
          client.disconnect()
        }
        return server
      })
    },
    stop,
  }
  // A failover needs Sentinels that know each other and the replicas.
  await patiently(async () => {
    const known = await Promise.all(sentinels.map((one) => one.known()))
    if (known.some((one) => one.sentinels !== 2 || one.replicas !== count - 1))
      throw new Error('not complete')
  })
  return cluster
}

type Sentinel = Awaited<ReturnType<typeof startSentinel>>

async function startSentinel(
  primary: OwnRedis,
  { password, sentinelPassword }: { password: string | undefined; sentinelPassword: string | undefined },
) {
  const reserved = await reservePort()
  const folder = openServerFolder('test-sentinel')
  const { port } = reserved
  const file = join(folder.path, 'sentinel.conf')
  // The file is rewritten by the Sentinel.
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder.path}`,
      `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primary.port} 2`,
      `sentinel down-after-milliseconds ${PRIMARY_NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${PRIMARY_NAME} 5000`,
      ...(password === undefined ? [] : [`sentinel auth-pass ${PRIMARY_NAME} ${password}`]),
      ...(sentinelPassword === undefined
        ? []
        : [`requirepass ${sentinelPassword}`, `sentinel sentinel-pass ${sentinelPassword}`]),
      '',
    ].join('\n'),
  )
  const process = new ServerProcess({
    name: `sentinel on port ${port}`,
    command: REDIS_PROGRAM,
    args: [file, '--sentinel'],
    folder: folder.path,
    readyTimeoutMs: 20_000,
    checkReady: () => pingRedis({ host: '127.0.0.1', port, password: sentinelPassword }),
  })
  await process.start()
  const ask = async <Answer>(question: (client: Redis) => Promise<Answer>): Promise<Answer> => {
    const client = new Redis({ port, ...(sentinelPassword !== undefined && { password: sentinelPassword }) })
    try {
      return await question(client)
    } finally {
      client.disconnect()
    }
  }
  return {
    process,
    port,
    async primaryPort() {
      const address = await ask((client) => client.call('SENTINEL', 'get-master-addr-by-name', PRIMARY_NAME))
      return Number(Array.isArray(address) ? address[1] : undefined)
    },
    async known() {
      const [sentinels, replicas] = await ask((client) =>
        Promise.all(
          ['sentinels', 'replicas'].map(async (what) => await client.call('SENTINEL', what, PRIMARY_NAME)),
        ),
      )
      const count = (list: unknown) => (Array.isArray(list) ? list.length : 0)
      return { sentinels: count(sentinels), replicas: count(replicas) }
    },
    async stop() {
      await process.kill('SIGKILL')
      await folder.remove()
      await reserved.release()
    },
  }
}

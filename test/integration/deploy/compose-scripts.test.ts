import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { patiently } from '../../support/eventually.ts'
import { repository } from '../../support/repository.ts'
import { reservePort } from '../../support/servers/free-port.ts'
import { folderOfTest } from '../../support/temporary-folder.ts'

const PASSWORD = 'a "quoted" \\ and $pecial password'

/** A start script of the compose files, as in its container, but with other paths. */
async function startScript(
  script: string,
  folder: string,
  { args = [], env = {} }: { args?: readonly string[]; env?: Readonly<Record<string, string>> },
): Promise<{ port: number; connect(): Redis; stop(): Promise<void> }> {
  const { port, release } = await reservePort()
  onTestFinished(release)
  // The entry point of the image changes the owner of the folder and the user, then runs its arguments.
  const entrypoint = join(folder, 'docker-entrypoint.sh')
  writeFileSync(entrypoint, '#!/bin/sh\nexec "$@"\n')
  chmodSync(entrypoint, 0o755)
  writeFileSync(join(folder, 'password'), `${PASSWORD}\n`)
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...args]
  const child = spawn(join(repository, 'deploy/compose', script), options, {
    stdio: 'ignore',
    env: {
      PATH: [folder, process.env['PATH']].join(delimiter),
      CONFIG_FILE: join(folder, 'server.conf'),
      PASSWORD_FILE: join(folder, 'password'),
      ...env,
    },
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
  }
  onTestFinished(() => void child.kill('SIGKILL'))
  return {
    port,
    stop,
    connect: () => {
      const redis = new Redis({ port, host: '127.0.0.1', password: PASSWORD, lazyConnect: false })
      redis.on('error', () => undefined)
      onTestFinished(() => redis.disconnect())
      return redis
    },
  }
}

test('start-redis.sh takes the password from its file, and receives signals itself', async () => {
  const folder = folderOfTest()
  const server = await startScript('start-redis.sh', folder, { args: ['--appendonly', 'no'] })
  const redis = server.connect()
  await patiently(async () => expect(await redis.ping()).toBe('PONG'))
  const [, password] = listOf(await redis.config('GET', 'requirepass'))
  expect(password).toBe(PASSWORD)
  const stranger = new Redis({ port: server.port, host: '127.0.0.1', maxRetriesPerRequest: 0 })
  stranger.on('error', () => undefined)
  onTestFinished(() => stranger.disconnect())
  await expect(stranger.get('key')).rejects.toThrow('NOAUTH')
  await server.stop()
})

test('start-redis.sh keeps the role that a failover has given the server, and takes a new password', async () => {
  const folder = folderOfTest()
  const replica = { args: [], env: { REPLICA_OF: '127.0.0.1 1' } }
  const first = await startScript('start-redis.sh', folder, replica)
  const redis = first.connect()
  await patiently(async () => expect(await redis.info('replication')).toContain('role:slave'))
  // As a Sentinel does.
  await redis.call('REPLICAOF', 'NO', 'ONE')
  await redis.call('CONFIG', 'REWRITE')
  await first.stop()
  redis.disconnect()
  const again = (await startScript('start-redis.sh', folder, replica)).connect()
  await patiently(async () => expect(await again.info('replication')).toContain('role:master'))
  const lines = readFileSync(join(folder, 'server.conf'), 'utf8').match(/^requirepass /gm)
  expect(lines).toHaveLength(1)
})

test('start-sentinel.sh watches the primary, with the password of Redis', async () => {
  const server = await startScript('start-redis.sh', folderOfTest(), { args: [] })
  const primary = `127.0.0.1 ${server.port}`
  const sentinel = await startScript('start-sentinel.sh', folderOfTest(), { env: { PRIMARY: primary } })
  const redis = new Redis({ port: sentinel.port, host: '127.0.0.1' })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  await patiently(async () => {
    const state = await redis.call('SENTINEL', 'MASTER', 'mymaster')
    expect(String(state)).toContain('role-reported,master')
    expect(String(state)).toMatch(/,flags,master,/) // neither s_down nor disconnected
  })
})

test('create-cluster.sh makes a Redis Cluster of the nodes, and changes nothing when it runs again', async () => {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const { port: busPort, release } = await reservePort()
      onTestFinished(release)
      const args = ['--cluster-port', String(busPort)]
      const env = { CLUSTER_HOSTNAME: 'localhost' }
      const folder = folderOfTest()
      return { ...(await startScript('start-redis.sh', folder, { args, env })), busPort, folder }
    }),
  )
  const [first] = nodes
  if (first === undefined) throw new Error('there is no node')
  const addresses = nodes.map(({ busPort, port }) => `127.0.0.1:${port}@${busPort}`)
  const create = async () => {
    const env = { PATH: process.env['PATH'], PASSWORD_FILE: join(first.folder, 'password') }
    const script = join(repository, 'deploy/compose/create-cluster.sh')
    return await promisify(execFile)(script, addresses, { env })
  }
  expect((await create()).stdout).toContain('The Redis Cluster is complete.')
  const roles = async () => {
    const text = String(await first.connect().cluster('NODES'))
    const lines = text.trim().split('\n')
    return lines.map((line) => {
      const [id, , flags, master, , , , , ...slots] = line.split(' ')
      return { id, role: flags?.match(/master|slave/)?.[0], master, slots }
    })
  }
  const created = await roles()
  expect(created.map(({ role }) => role).sort()).toEqual([
    ...Array(3).fill('master'),
    ...Array(3).fill('slave'),
  ])

  for (const node of nodes) {
    const [, fullCoverage] = listOf(await node.connect().config('GET', 'cluster-require-full-coverage'))
    expect(fullCoverage).toBe('no')
  }

  // The nodes are called by the name that they announce.
  const cluster = new Cluster([{ host: '127.0.0.1', port: first.port }], {
    redisOptions: { password: PASSWORD },
    dnsLookup: (host, resolved) => resolved(null, host),
  })
  onTestFinished(() => cluster.disconnect())
  for (let i = 0; i < 20; i++) await cluster.set(`key:${i}`, 'value')
  expect(cluster.nodes('master').map(({ options }) => options.host)).toEqual(Array(3).fill('localhost'))

  expect((await create()).stdout).toContain('The Redis Cluster is complete.')
  expect(await roles()).toEqual(expect.arrayContaining(created))
  expect(await cluster.get('key:0')).toBe('value')
})

function listOf(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new Error(`not a list: ${String(reply)}`)
  return reply
}

import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseConfig } from '../../../cache-service/config/config.ts'
import { readText, repositoryFiles } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

const paths = repositoryFiles().filter((path) => /^docker-compose[\w.]*\.yml$/.test(path))

const composeFile = z.looseObject({
  services: z.record(
    z.string(),
    z.looseObject({
      command: z.array(z.string()).optional(),
      depends_on: z.record(z.string(), z.unknown()).optional(),
      environment: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
      healthcheck: z.unknown().optional(),
      image: z.string().optional(),
      ports: z.array(z.string()).optional(),
      secrets: z.array(z.string()).optional(),
      volumes: z.array(z.string()).optional(),
    }),
  ),
  secrets: z.record(z.string(), z.object({ file: z.string() })).optional(),
  volumes: z.record(z.string(), z.null()).optional(),
})

/** YAML 1.1 merge keys (`<<`), as Compose reads them. */
const read = (path: string): unknown => parse(readText(path), { merge: true })

const validate = (() => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  return ajv.compile(
    z
      .record(z.string(), z.unknown())
      .parse(JSON.parse(readText('test/fixtures/compose-spec/compose-spec.json'))),
  )
})()

const files = Object.fromEntries(paths.map((path) => [path, composeFile.parse(read(path))]))
const stack = files['docker-compose.yml']?.services ?? {}

describe.each(Object.entries(files))('%s', (path, { secrets = {}, services, volumes = {} }) => {
  // What docker-compose.sentinel.yml only changes has the rest in docker-compose.yml.
  const own = Object.entries(services).filter(([, { image }]) => image !== undefined)

  it('follows the Compose specification', () => {
    validate(read(path))
    expect(validate.errors ?? []).toEqual([])
  })

  it('mounts only files that exist, read-only', () => {
    const sources = Object.values(services).flatMap(({ volumes: mounted = [] }) => mounted)
    const mounts = sources.map((text) => text.split(':')).filter(([source]) => source?.startsWith('./'))
    for (const [source = '', , mode] of mounts) {
      // The folder for the secrets of a site is made by the site.
      if (source !== './secrets') expect(existsSync(join(repository, source)), source).toBe(true)
      expect(mode).toBe('ro')
    }
    for (const { file } of Object.values(secrets))
      expect(existsSync(join(repository, file.replace(/^\$\{\w+:-|\}$/g, ''))), file).toBe(true)
  })

  it('mounts scripts that can be executed', () => {
    const scripts = Object.values(services).flatMap(({ volumes: mounted = [] }) =>
      mounted.flatMap((text) => text.match(/^\.\/[\w/-]+\.sh/) ?? []),
    )
    for (const script of scripts) expect(statSync(join(repository, script)).mode & 0o111, script).toBe(0o111)
  })

  it('bounds the memory, the processes and the log of every container', () => {
    for (const [name, service] of own) {
      expect(service, name).toMatchObject({
        mem_limit: expect.stringMatching(/^\d+[mg]$/),
        logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } },
      })
      if (service['restart'] !== 'no')
        expect(service, name).toMatchObject({
          pids_limit: expect.any(Number),
          restart: 'unless-stopped',
          stop_grace_period: expect.stringMatching(/^\d+[sm]$/),
        })
    }
  })

  it('checks the health of every server', () => {
    const servers = own.filter(([name]) => !['topics', 'normalizer', 'redis_cluster'].includes(name))
    for (const [name, { healthcheck }] of servers)
      expect(healthcheck, name).toMatchObject({
        test: expect.any(Array),
        interval: expect.any(String),
        timeout: expect.any(String),
        start_period: expect.any(String),
      })
  })

  it('has no password in a variable or a command', () => {
    for (const [name, { command = [], environment = {} }] of Object.entries(services)) {
      expect(command.join(' '), name).not.toMatch(/requirepass|--redis\.password/)
      const secret = Object.keys(environment).filter((variable) => /PASSWORD(?!_*FILE)|TOKEN/.test(variable))
      expect(secret, name).toEqual([])
    }
  })

  it('uses every volume and secret that it declares', () => {
    const used = Object.values(services).flatMap(({ secrets: list = [], volumes: mounted = [] }) => [
      ...list,
      ...mounted.map((text) => text.split(':')[0]),
    ])
    for (const name of [...Object.keys(volumes), ...Object.keys(secrets)]) expect(used).toContain(name)
  })
})

describe('the monitoring profile', () => {
  const prometheus = z
    .looseObject({
      scrape_configs: z.array(
        z.looseObject({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
      ),
    })
    .parse(parse(readText('deploy/prometheus/prometheus.yml')))
  const targets = prometheus.scrape_configs.flatMap((scrape) =>
    scrape.static_configs.flatMap((config) => config.targets),
  )

  it('has a server for every target of Prometheus, at its port', () => {
    for (const target of targets) {
      const [name = '', port = ''] = target.split(':')
      expect(Object.keys(stack)).toContain(name)
      const { environment = {}, healthcheck } = stack[name] ?? {}
      const known = `${environment['METRICS_PORT']} ${JSON.stringify(healthcheck)}`
      expect(known, name).toMatch(new RegExp(`(^|:)${port}\\b`))
    }
  })

  it('publishes only the ports on which the servers listen', () => {
    for (const [name, port] of [
      ['prometheus', 9090],
      ['grafana', 3000],
    ] as const) {
      const { healthcheck, ports = [] } = stack[name] ?? {}
      expect(ports[0]).toMatch(new RegExp(`:${port}$`))
      expect(JSON.stringify(healthcheck)).toContain(`localhost:${port}`)
    }
  })

  it('takes the memory limit of Redis below that of its container', () => {
    expect(stack['redis']?.command?.join(' ')).toContain('--maxmemory 512mb')
    expect(stack['redis']).toMatchObject({ mem_limit: '1g' })
  })
})

/** What the service makes of its variables, beside the .env that docker-compose.yml needs. */
function parsedWithDotEnv(environment: Readonly<Record<string, unknown>>) {
  const texts = Object.entries(environment).map(([name, value]) => [
    name,
    String(value).replace(/^\$\{\w+:-(.*)\}$/, '$1'),
  ])
  const dotEnv = { REDIS_HOST: 'redis', REDIS_PORT: '6379', REDIS_DB: '0' }
  return parseConfig({ ...dotEnv, ...Object.fromEntries(texts) }, () => 'secret')
}

describe('docker-compose.sentinel.yml', () => {
  const sentinel = files['docker-compose.sentinel.yml']?.services ?? {}
  const mergedOf = (name: string) => ({ ...stack[name]?.environment, ...sentinel[name]?.environment })
  const merged = mergedOf('cache_service')

  it.each(['cache_service', 'lag_monitor'])(
    'gives %s valid settings, beside the .env that docker-compose.yml needs',
    (service) => {
      expect(parsedWithDotEnv(mergedOf(service))).toMatchObject({ kind: 'ok', warnings: [] })
    },
  )

  it('names Sentinels that exist, and the primary as they do', () => {
    const names = String(merged['REDIS_SENTINELS']).split(',')
    expect(names).toHaveLength(3)
    for (const address of names) {
      const [name = '', port] = address.split(':')
      expect(Object.keys(sentinel)).toContain(name)
      expect(JSON.stringify(sentinel[name]?.healthcheck)).toContain(` ${port} `)
    }
    expect(readText('deploy/compose/start-sentinel.sh')).toContain(
      `sentinel monitor ${merged['REDIS_SENTINEL_NAME']} `,
    )
  })

  it('lets the primary differ from docker-compose.yml only by the name that it announces', () => {
    const announced = ['--replica-announce-ip', 'redis']
    expect(sentinel['redis']?.command).toEqual([...(stack['redis']?.command ?? []), ...announced])
  })
})

describe('docker-compose.cluster.yml', () => {
  const cluster = files['docker-compose.cluster.yml']?.services ?? {}
  const merged = { ...stack['cache_service']?.environment, ...cluster['cache_service']?.environment }
  const nodes = Object.entries(cluster).filter(([, { environment }]) => environment?.['CLUSTER_HOSTNAME'])

  it('gives the service valid settings, beside the .env that docker-compose.yml needs', () => {
    expect(parsedWithDotEnv(merged)).toMatchObject({ kind: 'ok', warnings: [] })
  })

  it('creates a cluster of all its nodes, which the service is given', () => {
    const addresses = nodes.map(([name]) => `${name}:6379`)
    expect(addresses).toHaveLength(6)
    expect(cluster['redis_cluster']?.command).toEqual(addresses)
    expect(merged['REDIS_CLUSTER_NODES']).toBe(addresses.join(','))
    expect(Object.keys(cluster['redis_cluster']?.depends_on ?? {})).toEqual(nodes.map(([name]) => name))
  })

  it('lets each node announce its own name, without an underscore, and keep its own data', () => {
    for (const [name, { environment }] of nodes) expect(environment).toEqual({ CLUSTER_HOSTNAME: name })
    for (const [name] of nodes) expect(name).toMatch(/^[a-z0-9-]+$/)
    const data = nodes.flatMap(([, { volumes = [] }]) => volumes.filter((text) => text.endsWith(':/data')))
    expect(new Set(data).size).toBe(6)
  })

  it('starts the further nodes as docker-compose.yml starts Redis', () => {
    for (const [name, { command }] of nodes.slice(1)) expect(command, name).toEqual(stack['redis']?.command)
  })
})

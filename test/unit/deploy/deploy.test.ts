import { existsSync, globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseConfig } from '../../../cache-service/config/config.ts'
import { options } from '../../../cache-service/config/options.ts'
import { normalizerHelp } from '../../simulator/normalizer-options.ts'
import { copiesOf, execForm, instructionsOf, parseDockerfile } from '../../support/docs/dockerfile.ts'
import { repository } from '../../support/repository.ts'

function textOf(path: string): string {
  return readFileSync(join(repository, path), 'utf8')
}

const scalar = z.union([z.string(), z.number()])
const serviceEntry = z.looseObject({
  image: z.string(),
  build: z.object({ context: z.literal('.'), dockerfile: z.string(), target: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  container_name: z.string().optional(),
  environment: z.record(z.string(), scalar).optional(),
  env_file: z.array(z.object({ path: z.string(), required: z.literal(false) })).optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  secrets: z.array(z.string()).optional(),
  networks: z.array(z.string()),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
  healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
  profiles: z.array(z.string()).optional(),
  stop_grace_period: z.string().optional(),
})
const composeFile = z.strictObject({
  'x-logging': z.unknown(),
  name: z.string(),
  secrets: z.record(z.string(), z.object({ file: z.string() })).optional(),
  services: z.record(z.string(), serviceEntry),
  volumes: z.record(z.string(), z.null()).optional(),
  networks: z.record(z.string(), z.object({ name: z.string().optional(), external: z.boolean().optional() })),
})
const packageFile = z.looseObject({
  version: z.string(),
  scripts: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
})

const stack = composeFile.parse(parse(textOf('docker-compose.yml')))
const platform = composeFile.parse(parse(textOf('docker-compose.platform.yml')))
const composeFiles = { 'docker-compose.yml': stack, 'docker-compose.platform.yml': platform }
const npmPackage = packageFile.parse(JSON.parse(textOf('package.json')))
const stages = parseDockerfile(textOf('deploy/Dockerfile'))

const serviceVariables = options.flatMap(({ name, kind }): string[] =>
  kind === 'secret' ? [name, `${name}_FILE`] : [name],
)
const normalizerVariables =
  normalizerHelp()
    .match(/^ {2}[A-Z_]+/gm)
    ?.map((name) => name.trim()) ?? []

const example = Object.fromEntries(
  textOf('.env.example')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line): [string, string] => {
      const [, name = line, value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? []
      return [name, value]
    }),
)

/** As Compose replaces `${NAME:-default}`. */
function interpolated(value: string | number, env: Readonly<Record<string, string>>): string {
  return String(value).replaceAll(
    /\$\{(\w+):-([^}]*)\}/g,
    (_, name: string, text: string) => env[name] || text,
  )
}

/** The files that Compose mounts from the secrets of docker-compose.yml. */
function secretFiles(path: string): string {
  if (path === '/run/secrets/redis_password') return textOf('deploy/compose/redis-password')
  throw new Error(`no file should be read: ${path}`)
}

describe('.env.example', () => {
  it('has every everyday option, at its default', () => {
    const everyday = options.filter(({ level }) => level === 'everyday')
    for (const { name, default: defaultText } of everyday) {
      // The one exception: the password is in a file.
      expect(example[name], name).toBe(name === 'REDIS_PASSWORD' ? undefined : defaultText)
    }
  })

  it('has only variables that a program or docker-compose.yml reads', () => {
    const ofCompose = [...textOf('docker-compose.yml').matchAll(/\$\{(\w+):-/g)].map(([, name]) => name)
    for (const name of Object.keys(example))
      expect([...serviceVariables, ...normalizerVariables, ...ofCompose]).toContain(name)
  })
})

describe.each(Object.entries(composeFiles))('%s', (path, compose) => {
  const services = Object.entries(compose.services)

  it('uses only variables of .env.example, with the same defaults', () => {
    const used = [...textOf(path).matchAll(/(?<!\$)\$\{?(\w+)(?::-([^}]*))?\}?/g)]
    expect(used.length).toBeGreaterThan(0)
    for (const [text, name = '', defaultText] of used) {
      expect({ text, default: defaultText }).toEqual({ text, default: example[name] })
    }
  })

  it('sets only variables that our programs know', () => {
    for (const [, { build, environment }] of services) {
      const known = build?.target === 'normalizer' ? normalizerVariables : serviceVariables
      if (build) expect(known).toEqual(expect.arrayContaining(Object.keys(environment ?? {})))
    }
  })

  it('pins every image from elsewhere to a version', () => {
    for (const [, { build, image }] of services) if (!build) expect(image).toMatch(/:v?\d+\.\d+\.\d+(-\w+)?$/)
  })

  it('publishes on 127.0.0.1 only', () => {
    for (const port of services.flatMap(([, { ports }]) => ports ?? []))
      expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  it('refers to services, volumes, networks and build stages that exist', () => {
    for (const [name, { build, depends_on = {}, networks, secrets = [], volumes = [] }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect(compose.services, name).toHaveProperty(other)
        if (condition === 'service_healthy') expect(compose.services[other]).toHaveProperty('healthcheck')
        else expect(condition).toBe('service_completed_successfully')
      }
      for (const network of networks) expect(compose.networks).toHaveProperty(network)
      for (const volume of volumes) {
        const [source = ''] = volume.split(':')
        if (!source.startsWith('./')) expect(compose.volumes).toHaveProperty(source)
      }
      for (const secret of secrets) expect(compose.secrets).toHaveProperty(secret)
      if (!build) continue
      expect(build.dockerfile).toBe('deploy/Dockerfile')
      expect(stages.map((stage) => stage.name)).toContain(build.target)
    }
  })

  it('gives the service valid settings, without a .env and with the example', () => {
    const { environment = {}, env_file } = compose.services['cache_service'] ?? {}
    expect(env_file).toEqual([{ path: '.env', required: false }])
    for (const dotEnv of [{}, example]) {
      const fixed = Object.entries(environment).map(([name, value]) => [name, interpolated(value, dotEnv)])
      const parsed = parseConfig({ ...dotEnv, ...Object.fromEntries(fixed) }, secretFiles)
      expect(parsed).toMatchObject({ kind: 'ok', warnings: [] })
      expect(parsed).toHaveProperty('config.process.metricsHost', '0.0.0.0')
      expect(parsed).toHaveProperty('config.process.metricsPort', 9464)
      expect(parsed).toMatchObject({ config: { api: { auth: 'off', host: '0.0.0.0', port: 5011 } } })
    }
  })

  it('takes API_AUTH from .env', () => {
    const auth = compose.services['cache_service']?.environment?.['API_AUTH'] ?? ''
    expect([interpolated(auth, {}), interpolated(auth, { API_AUTH: 'token' })]).toEqual(['off', 'token'])
  })

  it('confines our own containers', () => {
    for (const [name, { build, ...rest }] of services) {
      if (!build) continue
      expect(rest, name).toMatchObject({
        init: true,
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        tmpfs: ['/tmp'],
        restart: 'unless-stopped',
      })
    }
  })

  it('asks the worker for its health, and gives it time to shut down', () => {
    const worker = compose.services['cache_service']
    const shutdown = Number(options.find(({ name }) => name === 'SHUTDOWN_TIMEOUT_S')?.default)
    expect(worker?.healthcheck?.test).toEqual(['CMD', 'node', 'cache-service/main.ts', 'healthcheck'])
    expect(Number(/^(\d+)s$/.exec(worker?.stop_grace_period ?? '')?.[1])).toBeGreaterThan(shutdown)
    expect(worker).toMatchObject({ container_name: 'cache_service', command: ['all'] })
  })
})

describe('the whole stack', () => {
  it('is Kafka, its topics, Redis and the worker; the others only in their profiles', () => {
    const profiles = Object.entries(stack.services).map(([name, { profiles: list }]) => [name, list])
    expect(Object.fromEntries(profiles)).toEqual({
      kafka: undefined,
      topics: undefined,
      redis: undefined,
      cache_service: undefined,
      normalizer: ['demo'],
      lag_monitor: ['monitoring'],
      prometheus: ['monitoring'],
      grafana: ['monitoring'],
      redis_exporter: ['monitoring'],
      kafka_exporter: ['monitoring'],
    })
    expect(stack.networks).toEqual({ preservarium_net: { name: 'preservarium_net' } })
    expect(stack.services['redis']?.container_name).toBe('redis')
  })

  it('keeps the data of Kafka and Redis in volumes', () => {
    const { kafka, redis } = stack.services
    const logDirs = kafka?.environment?.['KAFKA_LOG_DIRS']
    expect(kafka?.volumes).toEqual([`kafka_data:${logDirs}`])
    expect(redis?.volumes).toContain('redis_data:/data')
    expect(redis?.command?.join(' ')).toContain('--appendonly yes')
  })

  it('gives Redis, the worker and the exporter the password from one file', () => {
    const { cache_service: worker, lag_monitor: monitor, redis, redis_exporter: exporter } = stack.services
    for (const service of [worker, monitor, redis, exporter])
      expect(service?.secrets).toEqual(['redis_password'])
    for (const service of [worker, monitor])
      expect(service?.environment).toMatchObject({ REDIS_PASSWORD_FILE: '/run/secrets/redis_password' })
    expect(redis?.healthcheck?.test.join(' ')).toContain('redis-cli ping | grep -q PONG')
    expect(stack.secrets).toMatchObject({
      redis_password: { file: '${REDIS_PASSWORD_SECRET:-./deploy/compose/redis-password}' },
    })
  })

  it('gives the lag monitor valid settings, and a canary that the API accepts', () => {
    const { cache_service: worker, lag_monitor: monitor } = stack.services
    const fixed = Object.entries(monitor?.environment ?? {}).map(([name, value]) => [name, String(value)])
    const parsed = parseConfig({ ...example, ...Object.fromEntries(fixed) }, secretFiles)
    expect(parsed).toMatchObject({
      ...{ kind: 'ok', warnings: [] },
      config: {
        process: { metricsHost: '0.0.0.0', metricsPort: 9464 },
        lagMonitor: { canary: { everyMs: 10_000, api: { url: 'http://cache_service:5011' } } },
      },
    })
    expect(worker?.environment).toMatchObject({ API_ALLOWED_HOSTS: 'cache_service', PORT: 5011 })
  })

  it('creates both topics before the worker starts', () => {
    const script = stack.services['topics']?.command?.join('\n')
    expect(script).toContain("create '${KAFKA_VALIDATED_DATA_TOPIC:-iot_validated_data}' 3")
    expect(script).toContain("create '${KAFKA_ERROR_TOPIC:-iot_errors}' 1")
    expect(stack.services['cache_service']?.depends_on).toMatchObject({
      topics: { condition: 'service_completed_successfully' },
      redis: { condition: 'service_healthy' },
    })
  })
})

describe('the compose file for an existing platform', () => {
  it('has the same worker as the whole stack, alone, on an existing network', () => {
    const { depends_on: _, secrets: __, ...worker } = stack.services['cache_service'] ?? {}
    const { REDIS_PASSWORD_FILE: ___, ...environment } = stack.services['cache_service']?.environment ?? {}
    const volumes = ['./secrets:/run/secrets:ro']
    expect(platform.services).toEqual({ cache_service: { ...worker, environment, volumes } })
    expect(platform.networks).toEqual({ preservarium_net: { external: true } })
    expect(platform.volumes).toBeUndefined()
  })
})

describe('the Dockerfile', () => {
  const images = ['cache-service', 'normalizer']
  const built = (name: string) => instructionsOf(stages, name)
  const service = built('cache-service')

  it('builds in stages from the Node.js version of .nvmrc, the service last', () => {
    const bases = stages.map(({ from }) => from).filter((from) => stages.every(({ name }) => name !== from))
    expect(bases).toEqual([`node:${textOf('.nvmrc').trim()}-bookworm-slim`])
    expect(stages.at(-1)?.name).toBe('cache-service')
    expect(stages.length).toBeGreaterThan(2)
  })

  it.each(images)('runs %s as another user than root', (image) => {
    expect(built(image).findLast(({ keyword }) => keyword === 'USER')?.args).toBe('node')
  })

  it('copies exactly the files that .dockerignore lets through', () => {
    const allowed =
      textOf('.dockerignore')
        .match(/^!.+$/gm)
        ?.map((line) => line.slice(1)) ?? []
    const sources = stages.flatMap(({ instructions }) =>
      copiesOf(instructions).flatMap((copy) => copy.sources),
    )
    for (const source of sources) expect(existsSync(join(repository, source)), source).toBe(true)
    expect(new Set(sources)).toEqual(new Set(allowed))
  })

  it.each(images)('copies everything that the modules of %s import', (image) => {
    const copied = copiesOf(built(image)).flatMap(({ sources }) => sources)
    const isCopied = (path: string) =>
      copied.some((source) => path === source || path.startsWith(`${source}/`))
    const modules = copied.flatMap((source) => globSync(`${source}/**/*.ts`, { cwd: repository }))
    expect(modules.length).toBeGreaterThan(3)
    for (const module of modules) {
      for (const [, specifier = ''] of textOf(module).matchAll(
        /^(?:import|export|\}).*? from '([^']+)'$/gm,
      )) {
        if (specifier.startsWith('.')) {
          const path = relative(repository, join(repository, dirname(module), specifier))
          expect(isCopied(path) && existsSync(join(repository, path)), `${module} imports ${specifier}`).toBe(
            true,
          )
        } else if (!specifier.startsWith('node:') && !builtinModules.includes(specifier)) {
          const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
          expect(Object.keys(npmPackage.dependencies), `${module} imports ${specifier}`).toContain(name)
        }
      }
    }
  })

  it('starts the service with the command of `npm start`', () => {
    const entrypoint = execForm(service, 'ENTRYPOINT')
    // npm starts a shell, which must not stay between it and the service: the shell would not pass SIGTERM on.
    expect(`exec ${entrypoint.join(' ')}`).toBe(npmPackage.scripts['start'])
    expect(existsSync(join(repository, entrypoint.at(-1) ?? ''))).toBe(true)
    expect(execForm(service, 'CMD')).toEqual(['worker'])
  })

  it('asks the service for its health', () => {
    expect(execForm(service, 'HEALTHCHECK')).toEqual(['node', 'cache-service/main.ts', 'healthcheck'])
  })

  it('sets only known variables, and exposes the ports of the API and the metrics', () => {
    const variables = service.filter(({ keyword }) => keyword === 'ENV').map(({ args }) => args.split('=')[0])
    const ports = ['PORT', 'METRICS_PORT'].map(
      (name) => options.find((option) => option.name === name)?.default,
    )
    expect(['NODE_ENV', ...serviceVariables]).toEqual(expect.arrayContaining(variables))
    expect(service.find(({ keyword }) => keyword === 'EXPOSE')?.args).toBe(ports.join(' '))
  })

  it('has the version of the package', () => {
    const args = service.filter(({ keyword }) => keyword === 'ARG').map(({ args: text }) => text)
    expect(args).toContain(`VERSION=${npmPackage.version}`)
  })
})

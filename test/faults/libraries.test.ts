import { spawn } from 'node:child_process'
import { cp, glob, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { ReleaseStack } from '../../cache-service/lifecycle/release-stack.ts'
import { libraries } from '../../deploy/libraries.ts'
import { UPDATE_TYPES_KEY } from '../../shared/contract/keys.ts'
import { patiently } from '../support/eventually.ts'
import { bundleForBrowsers, gzipBytes } from '../support/processes/bundle.ts'
import { appendUpdate, storeDevice } from '../support/processes/client-world.ts'
import {
  installLibraries,
  LIBRARIES_WITHIN_MS,
  packLibraries,
  type PackedLibraries,
} from '../support/processes/npm-libraries.ts'
import { COMPILER, type NpmProject } from '../support/processes/npm-package.ts'
import { findOldestNode } from '../support/processes/oldest-node.ts'
import { startApi, type RunningApi } from '../support/processes/start-api.ts'
import { repository } from '../support/repository.ts'
import { useRedisDatabase, type RedisDatabase } from '../support/test-scope.ts'

// The packed tarballs of the libraries, installed in empty projects, as their users install them.

const CLIENT = 'iot-device-cache-client'
const REDIS = 'iot-device-cache-redis'
const NODE_WITHIN_MS = 300_000

let database: RedisDatabase
let api: RunningApi
let packed: PackedLibraries
/** A project with the client alone; projects with both libraries and the newest or the oldest zod that they support. */
let alone: NpmProject
let both: NpmProject
let oldest: NpmProject
let oldestNode: string

const releases = new ReleaseStack()

beforeAll(
  async () => {
    database = await useRedisDatabase(inject('redisUrl'))
    releases.push('the Redis database', () => database.release())
    api = await startApi({ REDIS_URL: database.url })
    releases.push('the API', () => api.stop())
    packed = await packLibraries()
    releases.push('the tarballs', () => packed.remove())
    const install = async (
      name: string,
      libraryNames: readonly string[],
      packages: Record<string, string>,
    ) => {
      const project = await installLibraries(libraryNames.map(tarballOf), packages)
      releases.push(name, () => project.remove())
      return project
    }
    alone = await install('the project with the client', [CLIENT], {})
    const types = { '@types/node': '@types/node' }
    both = await install('the project with both', [CLIENT, REDIS], {
      ioredis: 'ioredis',
      zod: 'zod',
      ...types,
    })
    oldest = await install('the project with the oldest zod', [CLIENT, REDIS], {
      ...{ ioredis: 'ioredis', zod: 'zod-oldest', ...types },
    })
    oldestNode = await findOldestNode()
  },
  3 * LIBRARIES_WITHIN_MS + NODE_WITHIN_MS,
)

afterAll(() => releases.releaseAll())

function tarballOf(name: string): string {
  return packed.tarballs.get(name) ?? expect.fail(`there is no package ${name}`)
}

async function filesOf(project: NpmProject, name: string): Promise<string[]> {
  const home = join(project.folder, 'node_modules', name)
  const found: string[] = []
  for await (const file of glob('**/*', { cwd: home, withFileTypes: true })) {
    if (file.isFile()) found.push(join(file.parentPath, file.name).slice(home.length + 1))
  }
  return found.sort()
}

async function runProgram(project: NpmProject, node: string, name: string, text: string, env = {}) {
  await writeFile(join(project.folder, name), text)
  return await project.run(node, [name], env)
}

async function compile(project: NpmProject, name: string, text: string, ...options: string[]) {
  await writeFile(join(project.folder, name), text)
  return await compileFiles(project, [name], options)
}

async function compileFiles(project: NpmProject, names: readonly string[], options: readonly string[] = []) {
  return await project.run(COMPILER, [
    ...[
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--noUncheckedIndexedAccess',
    ],
    ...['--module', 'nodenext', '--target', 'es2024', '--skipLibCheck', 'false', '--types', 'node'],
    ...options,
    ...names,
  ])
}

const imports = libraries.flatMap(({ name, exports }) =>
  Object.keys(exports).map((path) => (path === '.' ? name : `${name}${path.slice(1)}`)),
)
const importsAll = imports.map((path, i) => `import * as m${i} from '${path}'\nvoid m${i}`).join('\n')

describe.each(libraries)('the package $name', ({ name, exports, isForBrowsers }) => {
  test('contains what it exports, with declarations and source maps, and no sources', async () => {
    const files = await filesOf(both, name)
    for (const module of Object.values(exports)) expect(files).toContain(`${module}.js`)
    for (const file of files.filter((path) => path.endsWith('.js'))) {
      expect(files).toEqual(expect.arrayContaining([`${file}.map`, file.replace(/js$/, 'd.ts')]))
    }
    expect(files).toEqual(expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']))
    const others = files.filter((file) => !/\.(js|js\.map|d\.ts)$/.test(file))
    expect(others).toHaveLength(4)
  })

  test('has a README whose links lead to the repository', async () => {
    const readme = await readFile(join(both.folder, 'node_modules', name, 'README.md'), 'utf8')
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link)
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) expect(link).toMatch(/^(https:\/\/|#)/)
  })

  test('installs as few packages as it says', async () => {
    const project = isForBrowsers ? alone : both
    const found = (await readdir(join(project.folder, 'node_modules'))).filter(
      (folder) => !/^[.@]|^iot-/.test(folder),
    )
    if (isForBrowsers) expect(found).toEqual([])
    else expect(found).toEqual(expect.arrayContaining(['ioredis', 'zod']))
  })
})

describe('a browser bundle of the client', () => {
  test('contains no zod and needs nothing of Node.js, and is small', async () => {
    const { code, modules } = await bundleForBrowsers(alone.folder, `export * from '${CLIENT}'`)
    expect(modules.filter((path) => !path.includes(CLIENT))).toEqual([])
    expect(code).not.toMatch(/\bfrom *['"]/)
    expect(gzipBytes(code)).toBeLessThan(12_000)
  })

  test('type-checks without the types of Node.js, for older browsers, too', async () => {
    const program = `
      import { DeviceCacheClient } from '${CLIENT}'
      export const client = new DeviceCacheClient({ baseUrl: location.origin, fetch })`
    const options = [
      '--types',
      '',
      '--lib',
      'es2022,dom',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
    ]
    const checked = await compile(alone, 'browser.ts', program, ...options)
    expect(checked).toMatchObject({ code: 0, stdout: '' })
  })
})

describe.each([
  ['the newest zod', () => both],
  ['the oldest zod', () => oldest],
])('with %s, the libraries', (_, projectOf) => {
  test('type-check in strict TypeScript, including their declarations, with undefined for any option', async () => {
    const program = `
      ${importsAll}
      import { CacheRebuildingError, DeviceCacheClient, type Device, type LookupResult, type WatchEvent } from '${CLIENT}'
      import { deviceSchema } from '${CLIENT}/api-schemas'
      import { isDeviceId, type DeviceId } from '${CLIENT}/device-id'
      import { deviceKey } from '${CLIENT}/keys'
      import { validatedOutputSchema, type ValidatedOutput } from '${CLIENT}/messages'
      import { enumName, isoDate, RedisConfigStore, redisSettingsFrom, RedisService } from '${REDIS}'
      import { z } from 'zod'

      export async function use(id: string): Promise<readonly unknown[]> {
        await using client = new DeviceCacheClient({ baseUrl: 'http://cache', token: async () => undefined })
        const device: Device | undefined = await client.get(id, { signal: AbortSignal.timeout(1) })
        const looked: LookupResult = await client.lookup(new Set([id]))
        const key: string | undefined = isDeviceId(id) ? deviceKey(id) : undefined
        for await (const event of client.watch({ events: ['device'] })) {
          const typed: WatchEvent = event
          if (typed.kind === 'device') return typed.deviceIds
        }
        const output: ValidatedOutput = { device_id: 'x' }
        const error: unknown = undefined
        return [device?.extra['x'], looked.found.get(id)?.ttl, key, output, error instanceof CacheRebuildingError]
      }
      export type Id = DeviceId
      // The consumer's zod and ours are one.
      export const extended: z.ZodType = z.object({ device: deviceSchema, output: validatedOutputSchema.extend({ x: z.number() }) })
      export async function useRedis(): Promise<number | undefined> {
        await using service = new RedisService(redisSettingsFrom(process.env))
        const schema = z.object({ mode: enumName({ FAST: 1, SLOW: 2 }), at: isoDate(), n: z.number() })
        await service.set('key', { mode: 1, at: new Date(), n: 1 }, { schema })
        await using store = new RedisConfigStore({ host: 'redis', port: 6379 })
        const mode: 1 | 2 | undefined = (await store.fetch(schema, 'key'))?.mode
        void mode
        return (await service.get('key', schema))?.n
      }`
    await writeFile(join(projectOf().folder, 'strict.ts'), program)
    // Each option that may be omitted may also be undefined.
    const undefinedOptions = `
      import { DeviceCacheClient, type DeviceCacheClientOptions, type ListOptions, type NearCacheOptions, type WatchOptions } from '${CLIENT}'
      import * as redis from '${REDIS}'
      type Undefined<T> = { [K in keyof T as {} extends Pick<T, K> ? K : never]-?: undefined }
      declare const of: <T>() => Undefined<T>
      export const client: DeviceCacheClientOptions = { ...of<DeviceCacheClientOptions>(), baseUrl: 'http://cache' }
      export const options: [ListOptions, NearCacheOptions, WatchOptions, redis.RedisServiceOptions,
        redis.RedisConfigStoreOptions, redis.SetOptions, redis.UpdateOptions, redis.RedisTls] = [
        of<ListOptions>(), of<NearCacheOptions>(), of<WatchOptions>(), of<redis.RedisServiceOptions>(),
        of<redis.RedisConfigStoreOptions>(), of<redis.SetOptions>(), of<redis.UpdateOptions>(), of<redis.RedisTls>()]
      export const settings: redis.RedisSettings = { ...of<redis.RedisSettings>(), host: 'redis', port: 6379 }
      export const none = (service: redis.RedisService) => service.set('k', 1, { schema: undefined, ttlS: undefined })
      export const one = new DeviceCacheClient({ baseUrl: 'http://cache', nearCache: { maxEntries: undefined } })`
    await writeFile(join(projectOf().folder, 'undefined.ts'), undefinedOptions)
    const checked = await compileFiles(projectOf(), ['strict.ts', 'undefined.ts'])
    expect(checked).toMatchObject({ code: 0, stdout: '' })
  })

  test.each([
    ['this Node.js', () => process.execPath],
    ['the oldest Node.js', () => oldestNode],
  ])('run on %s, with real servers', async (__, nodeOf) => {
    await database.client.flushdb()
    await storeDevice(database.client, 'sensor:1', { datatype_name: 'Temperature' })
    const program = `
      ${importsAll}
      import { DeviceCacheClient, DeviceCacheError, InvalidRequestError } from '${CLIENT}'
      import { deviceSchema } from '${CLIENT}/api-schemas'
      import { parseDeviceId } from '${CLIENT}/device-id'
      import { deviceKey } from '${CLIENT}/keys'
      import { validatedOutputSchema } from '${CLIENT}/messages'
      import { enumName, isoDate, RedisConfigStore, RedisService, redisSettingsFrom } from '${REDIS}'
      import { redisError } from '${REDIS}/error-classes'
      import { z } from 'zod'

      const client = new DeviceCacheClient({ baseUrl: process.env.CACHE_API, nearCache: true })
      const device = await client.get('sensor:1')
      const refused = await client.get('').catch((error) => error)
      const first = client.watch().next()
      await client.close()
      await first
      const service = new RedisService(redisSettingsFrom(process.env))
      await service.connect()
      const schema = z.object({ mode: enumName({ FAST: 1, SLOW: 2 }), at: isoDate() })
      await service.set('job', { mode: 2, at: new Date(0) }, { schema })
      const job = await service.get('job', schema)
      const store = new RedisConfigStore(redisSettingsFrom(process.env), { enableNotifications: true })
      await store.connect()
      let changed
      const change = new Promise((resolve) => (changed = resolve))
      await store.watch('config', changed)
      await store.update('config', { n: 1 })
      const { version } = await change
      console.log(JSON.stringify([
        device.datatype_name,
        refused instanceof InvalidRequestError && refused instanceof DeviceCacheError,
        deviceKey(parseDeviceId('sensor:1')),
        redisError(new Error('OOM command not allowed')).code,
        validatedOutputSchema.safeParse({ device_id: 7 }).success,
        deviceSchema.safeParse(device).success,
        [job.mode, job.at.getTime(), version, await store.fetch(z.object({ n: z.int() }), 'config')],
      ]))
      await store.close()
      await service.close()`
    const env = { CACHE_API: api.url, REDIS_URL: database.url }
    const { code, stderr, stdout } = await runProgram(projectOf(), nodeOf(), 'use.js', program, env)
    // The program does not exit by itself while anything stays open.
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual([
      ...['Temperature', true, 'device:sensor:1:metadata', 'OOM', false, true],
      [2, 0, 1, { n: 1 }],
    ])
  })
})

describe('the libraries', () => {
  test('reject incorrect use at compile time', async () => {
    const wrong = [
      [`new DeviceCacheClient({ baseUrl: 'http://x', timeoutMs: '5' })`, 'TS2322'],
      [`device.ttl`, 'TS18048'],
      [`if (device !== undefined) device.datatype_id = 'y'`, 'TS2540'],
      [`client.watch({ events: ['all'] })`, 'TS2322'],
      [`deviceKey('x')`, 'TS2345'],
    ]
    const program = `
      import { DeviceCacheClient } from '${CLIENT}'
      import { deviceKey } from '${CLIENT}/keys'
      const client = new DeviceCacheClient({ baseUrl: 'http://x' })
      const device = await client.get('x')
      ${wrong.map(([line]) => line).join('\n')}`
    const { stdout } = await compile(both, 'wrong.ts', program)
    expect(stdout.match(/TS\d+/g)).toEqual(wrong.map(([, code]) => code))
  })

  test('say which import needs zod', async () => {
    const { stderr } = await runProgram(alone, process.execPath, 'schemas.js', `import '${CLIENT}/messages'`)
    expect(stderr).toContain("Cannot find package 'zod'")
    const inside = await runProgram(
      alone,
      process.execPath,
      'inside.js',
      `import '${CLIENT}/client/transport.js'`,
    )
    expect(inside.stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })
})

describe('the examples of docs/redis-library.md', () => {
  const names = ['redis-service.ts', 'redis-config-store.ts']
  beforeAll(() => cp(join(repository, 'docs/examples'), both.folder, { recursive: true }))

  test('match the page, and type-check', async () => {
    const page = await readFile(join(repository, 'docs/redis-library.md'), 'utf8')
    const shown = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, text = '']) => text)
    const kept = names.map((name) => readFile(join(repository, 'docs/examples', name), 'utf8'))
    expect(shown).toEqual(await Promise.all(kept))
    expect(await compileFiles(both, names)).toMatchObject({ code: 0, stdout: '' })
  })

  test('redis-service.ts prints what it should', async () => {
    const { code, stderr, stdout } = await both.run('node', ['redis-service.ts'], {
      REDIS_URL: database.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      'stored: {"mode":"very_fast","due":"2026-01-02T03:04:05.000Z","tries":0}',
      'read: true 2026',
      '0 tries',
      'job:2: RedisDeserializationError',
      'none',
      'deleted: true',
      `left: [ 'job:1' ]`,
      '',
    ])
    expect(await database.client.ttl('job:1')).toBeGreaterThan(3500)
  })

  test('redis-config-store.ts prints what it should', async () => {
    const { code, stderr, stdout } = await both.run('node', ['redis-config-store.ts'], {
      REDIS_URL: database.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      `{ kind: 'appended', version: 1 }`,
      `{ kind: 'unchanged', version: 1 }`,
      'rpush: version 2 is { perMinute: 200 }',
      expect.stringContaining('limits'),
      '1 {"perMinute":100}',
      '2 {"perMinute":200}',
      '',
    ])
  })
})

describe('the examples of docs/client.md', () => {
  beforeAll(() => cp(join(repository, 'docs/examples'), both.folder, { recursive: true }))

  test('are all named on the page, and type-check', async () => {
    const page = await readFile(join(repository, 'docs/client.md'), 'utf8')
    const named = new Set(
      [...page.matchAll(/examples\/(client-[\w-]+\.[jt]s)/g)].map(([, name = '']) => name),
    )
    const there: string[] = []
    for await (const file of glob('client-*.[jt]s', { cwd: join(repository, 'docs/examples') }))
      there.push(file)
    expect([...named].sort()).toEqual(there.sort())
    const typed = there.filter((name) => name.endsWith('.ts'))
    expect(await compileFiles(both, typed)).toMatchObject({ code: 0, stdout: '' })
  })

  test('client-get.js prints what it should', async () => {
    await storeDevice(database.client, 'sensor-1', { datatype_unit: '°C' })
    const { code, stderr, stdout } = await both.run('node', ['client-get.js', 'sensor-1', 'sensor-2'], {
      CACHE_API: api.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe('sensor-1: °C\nsensor-2: no such device\n1 found, 1 missing\n')
  })

  test('client-near-cache.ts prints what it should', async () => {
    await storeDevice(database.client, 'sensor-1', { datatype_name: 'Temperature' })
    const { code, stderr, stdout } = await both.run('node', ['client-near-cache.ts', 'sensor-1'], {
      CACHE_API: api.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe('sensor-1 measures Temperature\nfrom the near cache: Temperature\n')
  })

  test('client-watch.ts prints changes as they happen', async () => {
    await database.client.sadd(UPDATE_TYPES_KEY, 'inventory')
    await database.client.set('inventory', '{"updated":null,"valid":true,"values":[1]}')
    const child = spawn(process.execPath, ['client-watch.ts'], {
      cwd: both.folder,
      env: { CACHE_API: api.url, WATCH_MS: '60000' },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    }
    await patiently(() => expect(output).toContain('read: inventory\n(live)\n'))
    await appendUpdate(database.client, 'inventory', 2)
    await patiently(() => expect(output).toContain('inventory: {"updated":null,"valid":true,"values":[2]}\n'))
  })
})

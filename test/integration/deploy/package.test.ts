import { spawn } from 'node:child_process'
import { cp, glob, readFile, stat, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ReleaseStack } from '../../../cache-service/lifecycle/release-stack.ts'
import { reservePort } from '../../support/servers/free-port.ts'
import { appendUpdate, storeDevice } from '../../support/processes/client-world.ts'
import {
  COMPILER,
  installPackage,
  PACKAGE_WITHIN_MS,
  type InstalledPackage,
} from '../../support/processes/npm-package.ts'
import { eventually, patiently } from '../../support/eventually.ts'
import { productionPackages } from '../../support/processes/production-packages.ts'
import { UPDATE_TYPES_KEY } from '../../../shared/contract/keys.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'
import { repository } from '../../support/repository.ts'

// The packed tarball, installed in an empty project, as its users install it.

const API_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 30_000
// More than the limits of the steps together, so that the step that hangs is reported, with its output.
const READY_WITHIN_MS = 30_000 + PACKAGE_WITHIN_MS + API_WITHIN_MS + 30_000

const manifestSchema = z.object({
  version: z.string(),
  bin: z.record(z.string(), z.string()),
  exports: z.record(z.string(), z.union([z.string(), z.object({ types: z.string(), default: z.string() })])),
})

let database: RedisDatabase
let installed: InstalledPackage
let manifest: z.output<typeof manifestSchema>
/** The files of the package, sorted. */
let files: string[]
let api: { readonly url: string }

const releases = new ReleaseStack()

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  releases.push('the Redis database', () => database.release())
  installed = await installPackage()
  releases.push('the installed package', () => installed.remove())
  manifest = manifestSchema.parse(JSON.parse(await readFile(join(installed.home, 'package.json'), 'utf8')))
  const found: string[] = []
  for await (const file of glob('**/*', { cwd: installed.home, withFileTypes: true })) {
    if (file.isFile()) found.push(join(file.parentPath, file.name).slice(installed.home.length + 1))
  }
  files = found.filter((file) => !file.startsWith('node_modules/')).sort()
  api = await startInstalledApi()
}, READY_WITHIN_MS)

afterAll(() => releases.releaseAll())

/** `cache-service api`, by the command that npm has linked. */
async function startInstalledApi() {
  const port = await reservePort()
  releases.push('the port of the API', () => port.release())
  const metricsPort = await reservePort()
  releases.push('the port of the metrics', () => metricsPort.release())
  const child = spawn(join(installed.folder, 'node_modules/.bin/cache-service'), ['api'], {
    cwd: installed.folder,
    env: {
      PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
      PORT: String(port.port),
      METRICS_PORT: String(metricsPort.port),
      REDIS_URL: database.url,
    },
  })
  let output = ''
  let failure: string | undefined
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  child.once('error', (error) => (failure = error.message))
  child.once('exit', (code, signal) => (failure ??= `it ended with ${code ?? signal}`))
  const closed = new Promise((resolve) => child.once('close', resolve))
  releases.push('the API', async () => {
    child.kill('SIGTERM')
    const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
    await closed
    clearTimeout(overdue)
  })
  const url = `http://127.0.0.1:${port.port}`
  await eventually(
    async () => {
      if (failure !== undefined) return // thrown below, without waiting for the end of the time
      const ready = await fetch(`${url}/readyz`).catch(() => undefined)
      if (ready?.status !== 200) throw new Error(output)
    },
    { timeoutMs: API_WITHIN_MS, describe: 'the API of the installed package' },
  )
  if (failure !== undefined) throw new Error(`the API of the installed package: ${failure}\n${output}`)
  return { url }
}

function modules(): { readonly name: string; readonly targets: readonly string[] }[] {
  return Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'object'
      ? [{ name: name.replace(/^\./, 'iot-device-cache'), targets: [target.types, target.default] }]
      : [],
  )
}

async function runProgram(name: string, text: string, env: Record<string, string> = {}) {
  await writeFile(join(installed.folder, name), text)
  return await installed.run('node', [name], env)
}

async function compile(name: string, text: string, ...options: string[]) {
  await writeFile(join(installed.folder, name), text)
  return await compileFiles([name], options)
}

async function compileFiles(names: readonly string[], options: readonly string[] = []) {
  return await installed.run(COMPILER, [
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

describe('the package', () => {
  test('contains every file that package.json names, compiled, with declarations and source maps', () => {
    const { bin } = manifest
    const programs = Object.values(bin)
    expect(programs).toContain('dist/cache-service/bin.js')
    const targets = modules().flatMap((module) => module.targets)
    expect(targets.length).toBeGreaterThanOrEqual(14)
    for (const path of [...programs, ...targets]) expect(files).toContain(path.replace(/^\.\//, ''))
    for (const path of files.filter((file) => /^dist\/.*(?<!page\/[\w-]+)\.js$/.test(file))) {
      expect(files).toContain(`${path}.map`)
    }
    for (const path of files.filter((file) => /^dist\/shared\/.*\.js$/.test(file))) {
      expect(files).toContain(path.replace(/js$/, 'd.ts'))
      expect(files).toContain(path.replace(/js$/, 'd.ts.map'))
    }
  })

  test('contains no tests, and only the sources that the declaration maps refer to', () => {
    const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    expect(sources.filter((file) => !/^(shared|docs\/examples)\//.test(file))).toEqual([])
    const folders = new Set(files.map((file) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '')))
    expect([...folders].sort()).toEqual(['', 'dist', 'docs', 'shared'])
    expect(files).toEqual(expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md']))
  })

  test('installs exactly the production dependencies of the lock file', async () => {
    const top: string[] = []
    for await (const path of glob(['node_modules/*', 'node_modules/@*/*'], { cwd: installed.folder })) {
      if (!/\/(\.|@[^/]+$|@types\/node|iot-device-cache$)/.test(path)) top.push(path)
    }
    const locked = await productionPackages()
    const required = locked.filter(({ isOptional }) => !isOptional).map(({ path }) => path)
    expect(top).toEqual(expect.arrayContaining(required))
    expect(locked.map(({ path }) => path)).toEqual(expect.arrayContaining(top))
  })

  test('stays within its size limit', async () => {
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(installed.home, file))).size))
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(3_600_000)
  })
})

describe('its programs', () => {
  test('print their usage and their version', async () => {
    for (const name of Object.keys(manifest.bin)) {
      const { code, stderr, stdout } = await installed.run('npx', ['--no-install', name, '--help'])
      expect([code, stdout], stderr).toEqual([0, expect.stringContaining(`Usage: ${name}`)])
    }
    const version = await installed.run('npx', ['--no-install', 'cache-service', '--version'])
    expect(version.stdout).toBe(`${manifest.version}\n`)
  })

  test('serve the page, its libraries, and devices that a Lua script reads', async () => {
    await storeDevice(database.client, 'd', { datatype_unit: '["°C"]' })
    for (const path of [
      '/',
      '/page/page.js',
      '/page/vendor/lit-html/lit-html.js',
      '/docs',
      '/openapi.json',
    ]) {
      expect([path, (await fetch(api.url + path)).status]).toEqual([path, 200])
    }
    const device = await fetch(`${api.url}/api/devices/d`)
    expect(await device.json()).toMatchObject({ device_id: 'd', datatype_unit: ['°C'] })
  })

  test('look up devices in Redis and through the API, and diagnose servers that are unreachable', async () => {
    await storeDevice(database.client, 'd', { datatype_name: 'Temperature' })
    const cli = async (args: readonly string[], env: Record<string, string> = {}) =>
      await installed.run('npx', ['--no-install', 'cache-cli', ...args], env)
    for (const found of [
      await cli(['get', 'd', '--format', 'json'], { REDIS_URL: database.url }),
      await cli(['get', 'd', '--format', 'json', '--api', api.url]),
    ]) {
      expect(found).toMatchObject({ code: 0, stderr: expect.not.stringContaining('cache-cli') })
      expect(JSON.parse(found.stdout)).toMatchObject({ device_id: 'd', datatype_name: 'Temperature' })
    }
    const away = { REDIS_URL: 'redis://127.0.0.1:1', KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' }
    const commands = [['doctor'], ['lag'], ['errors', 'list'], ['rebuild', '--dry-run']]
    const ended = await Promise.all(commands.map((args) => cli(args, away)))
    expect(ended.map(({ code }) => code)).toEqual(commands.map(() => 4))
  })

  test('load every role, and exit with 2 for an invalid setting', async () => {
    for (const role of ['worker', 'kv-updater', 'all']) {
      const { code, stderr } = await installed.run('npx', ['--no-install', 'cache-service', role], {
        REDIS_PORT: 'x',
      })
      expect([code, stderr]).toEqual([2, expect.stringContaining('REDIS_PORT')])
    }
    const all = `await Promise.all(['run-roles', 'worker', 'kv-updater', 'api'].map((role) =>
      import(new URL(\`./node_modules/iot-device-cache/dist/cache-service/roles/\${role}.js\`, import.meta.url))))`
    expect(await runProgram('roles.js', all)).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('its modules', () => {
  test('load in plain JavaScript, and internal modules do not', async () => {
    const imports = modules().map(({ name }) => `import * as _${name.replace(/\W/g, '_')} from '${name}'`)
    const loaded = await runProgram('modules.js', imports.join('\n'))
    expect(loaded).toMatchObject({ code: 0, stderr: '' })
    const inside = await runProgram(
      'inside.js',
      `import 'iot-device-cache/dist/cache-service/config/config.js'`,
    )
    expect(inside.stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  test('work in JavaScript: schemas, keys, errors, ids, and the client with an API', async () => {
    await storeDevice(database.client, 'sensor:1', { datatype_name: 'Temperature' })
    const program = `
      import { DeviceCacheClient } from 'iot-device-cache/client'
      import { DeviceCacheError, InvalidRequestError } from 'iot-device-cache/client-errors'
      import { parseDeviceId } from 'iot-device-cache/device-id'
      import { redisError } from 'iot-device-cache/errors'
      import { deviceKey } from 'iot-device-cache/keys'
      import { validatedOutputSchema } from 'iot-device-cache/messages'

      const client = new DeviceCacheClient({ baseUrl: process.env.CACHE_API })
      const device = await client.get('sensor:1')
      const refused = await client.get('').catch((error) => error)
      console.log(JSON.stringify([
        device.datatype_name,
        refused instanceof InvalidRequestError && refused instanceof DeviceCacheError,
        deviceKey(parseDeviceId('sensor:1')),
        redisError(new Error('OOM command not allowed')).code,
        validatedOutputSchema.safeParse({ device_id: 7 }).success,
      ]))`
    const { code, stderr, stdout } = await runProgram('use.js', program, { CACHE_API: api.url })
    // Without close(): nothing keeps the process alive.
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual(['Temperature', true, 'device:sensor:1:metadata', 'OOM', false])
  })

  test('type-check in strict TypeScript, including their declarations', async () => {
    const imports = modules().map(({ name }, i) => `import * as m${i} from '${name}'\nvoid m${i}`)
    const program = `
      ${imports.join('\n')}
      import { DeviceCacheClient, type Device, type LookupResult, type WatchEvent } from 'iot-device-cache/client'
      import { CacheRebuildingError } from 'iot-device-cache/client-errors'
      import { isDeviceId, type DeviceId } from 'iot-device-cache/device-id'
      import { deviceKey } from 'iot-device-cache/keys'
      import type { ValidatedOutput } from 'iot-device-cache/messages'

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
      export type Id = DeviceId`
    expect(await compile('strict.ts', program)).toMatchObject({ code: 0, stdout: '' })
  })

  test('reject incorrect use at compile time', async () => {
    const wrong = [
      [`new DeviceCacheClient({ baseUrl: 'http://x', timeoutMs: '5' })`, 'TS2322'],
      [`device.ttl`, 'TS18048'],
      [`if (device !== undefined) device.datatype_id = 'y'`, 'TS2540'],
      [`client.watch({ events: ['all'] })`, 'TS2322'],
      [`deviceKey('x')`, 'TS2345'],
    ]
    const program = `
      import { DeviceCacheClient } from 'iot-device-cache/client'
      import { deviceKey } from 'iot-device-cache/keys'
      const client = new DeviceCacheClient({ baseUrl: 'http://x' })
      const device = await client.get('x')
      ${wrong.map(([line]) => line).join('\n')}`
    const { stdout } = await compile('wrong.ts', program)
    expect(stdout.match(/TS\d+/g)).toEqual(wrong.map(([, code]) => code))
  })

  test('include a client for browsers, which needs neither Node.js nor its types', async () => {
    const program = `
      import { DeviceCacheClient } from 'iot-device-cache/client'
      export const client = new DeviceCacheClient({ baseUrl: location.origin, fetch })`
    const options = ['--types', '', '--lib', 'es2024,esnext.disposable,dom,dom.iterable,dom.asynciterable']
    const browser = await compile('browser.ts', program, ...options)
    expect(browser).toMatchObject({ code: 0, stdout: '' })
    const shared = join(installed.home, 'dist/shared')
    const queue = ['client/client.js', 'client/errors.js']
    for (const file of queue) {
      const text = await readFile(join(shared, file), 'utf8')
      for (const [, from = ''] of text.matchAll(/^(?:import|export) .*?from '([^']+)'/gms)) {
        const path = join(dirname(file), from)
        if (!from.startsWith('.')) expect(['zod', 'eventsource-parser']).toContain(from)
        else if (!queue.includes(path)) queue.push(path)
      }
    }
    expect(queue.length).toBeGreaterThan(8)
  })
})

describe('the examples of docs/redis-library.md', () => {
  const names = ['redis-service.ts', 'redis-config-store.ts']
  beforeAll(() => cp(join(repository, 'docs/examples'), installed.folder, { recursive: true }))

  test('match the page, and type-check', async () => {
    const page = await readFile(join(repository, 'docs/redis-library.md'), 'utf8')
    const shown = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, text = '']) => text)
    const kept = names.map((name) => readFile(join(repository, 'docs/examples', name), 'utf8'))
    expect(shown).toEqual(await Promise.all(kept))
    expect(await compileFiles(names)).toMatchObject({ code: 0, stdout: '' })
  })

  test('redis-service.ts prints what it should', async () => {
    const { code, stderr, stdout } = await installed.run('node', ['redis-service.ts'], {
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
    const { code, stderr, stdout } = await installed.run('node', ['redis-config-store.ts'], {
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
  beforeAll(() => cp(join(repository, 'docs/examples'), installed.folder, { recursive: true }))

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
    expect(await compileFiles(typed)).toMatchObject({ code: 0, stdout: '' })
  })

  test('client-get.js prints what it should', async () => {
    await storeDevice(database.client, 'sensor-1', { datatype_unit: '°C' })
    const { code, stderr, stdout } = await installed.run('node', ['client-get.js', 'sensor-1', 'sensor-2'], {
      CACHE_API: api.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe('sensor-1: °C\nsensor-2: no such device\n1 found, 1 missing\n')
  })

  test('client-near-cache.ts prints what it should', async () => {
    await storeDevice(database.client, 'sensor-1', { datatype_name: 'Temperature' })
    const { code, stderr, stdout } = await installed.run('node', ['client-near-cache.ts', 'sensor-1'], {
      CACHE_API: api.url,
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe('sensor-1 measures Temperature\nfrom the near cache: Temperature\n')
  })

  test('client-watch.ts prints changes as they happen', async () => {
    await database.client.sadd(UPDATE_TYPES_KEY, 'inventory')
    await database.client.set('inventory', '{"updated":null,"valid":true,"values":[1]}')
    const child = spawn(process.execPath, ['client-watch.ts'], {
      cwd: installed.folder,
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

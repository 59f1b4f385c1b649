import { spawn } from 'node:child_process'
import { glob, readFile, stat, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { ReleaseStack } from '../../../cache-service/lifecycle/release-stack.ts'
import { reservePort } from '../../support/servers/free-port.ts'
import { storeDevice } from '../../support/processes/client-world.ts'
import {
  installPackage,
  PACKAGE_WITHIN_MS,
  type InstalledPackage,
} from '../../support/processes/npm-package.ts'
import { eventually } from '../../support/eventually.ts'
import { productionPackages } from '../../support/processes/production-packages.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

// The packed tarball, installed in an empty project, as its users install it.

const API_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 30_000
// More than the limits of the steps together, so that the step that hangs is reported, with its output.
const READY_WITHIN_MS = 30_000 + PACKAGE_WITHIN_MS + API_WITHIN_MS + 30_000

const manifestSchema = z.object({
  version: z.string(),
  bin: z.record(z.string(), z.string()),
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

async function runProgram(name: string, text: string, env: Record<string, string> = {}) {
  await writeFile(join(installed.folder, name), text)
  return await installed.run('node', [name], env)
}

describe('the package', () => {
  test('contains every file that package.json names, compiled, with source maps', () => {
    const programs = Object.values(manifest.bin)
    expect(programs).toContain('dist/cache-service/bin.js')
    for (const path of programs) expect(files).toContain(path)
    for (const path of files.filter((file) => /^dist\/.*(?<!page\/[\w-]+)\.js$/.test(file))) {
      expect(files).toContain(`${path}.map`)
    }
  })

  test('contains neither sources nor tests nor libraries', () => {
    expect(files.filter((file) => file.endsWith('.ts') || file.startsWith('dist/libraries/'))).toEqual([])
    const folders = new Set(files.map((file) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '')))
    expect([...folders].sort()).toEqual(['', 'dist', 'docs'])
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
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4_800_000)
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

test('its modules cannot be imported: the libraries are packages of their own', async () => {
  for (const path of ['iot-device-cache', 'iot-device-cache/dist/cache-service/config/config.js']) {
    const inside = await runProgram('inside.js', `import '${path}'`)
    expect(inside.stderr).toMatch(/ERR_PACKAGE_PATH_NOT_EXPORTED|No "exports" main/)
  }
})

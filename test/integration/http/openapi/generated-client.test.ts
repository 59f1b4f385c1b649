import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { DEVICE_INDEX_KEY } from '../../../../shared/contract/keys.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { repository } from '../../../support/repository.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const run = promisify(execFile)

let database: RedisDatabase
let running: RunningApi
/** A project that has the generated types and openapi-fetch, and nothing of ours. */
let project: string

/** Every line is checked by the compiler; those below @ts-expect-error must not compile. */
const PROGRAM = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.ts'

const client = createClient<paths>({ baseUrl: process.argv[2] ?? '' })

const page = await client.GET('/api/devices', { params: { query: { limit: 10, match: 'hall' } } })
const cursor: string | null | undefined = page.data?.next_cursor

const { data: device } = await client.GET('/api/devices/{id}', { params: { path: { id: 'hall/1' } } })
const ttl: number | null | undefined = device?.ttl

const missing = await client.GET('/api/devices/{id}', { params: { path: { id: 'absent' } } })
const type: string | undefined = missing.error?.type

const lookup = await client.POST('/api/devices/lookup', { body: { ids: ['hall/1', 'absent'] } })
const complete: boolean | undefined = lookup.data?.complete

const stored = await client.POST('/api/cache/', { body: { key: 'k', value: { n: 1 }, ttl: 60 } })
const value = await client.GET('/api/cache/{key}', { params: { path: { key: 'k' } } })
const absent = await client.GET('/api/cache/{key}', { params: { path: { key: 'none' } } })
const text: string | undefined = absent.error?.error

const event: components['schemas']['DeviceEvent'] = { change: 'changed', device_ids: ['hall/1'], more: 0 }

// @ts-expect-error limit is a number
await client.GET('/api/devices', { params: { query: { limit: 'ten' } } }).catch(() => undefined)
// @ts-expect-error the path has an id
await client.GET('/api/devices/{id}', { params: { path: {} } }).catch(() => undefined)
// @ts-expect-error there is no such path
await client.GET('/api/gadgets').catch(() => undefined)

const ids = page.data?.devices.map(({ device_id }) => device_id)
const found = Object.keys(lookup.data?.found ?? {})
const message = stored.data?.message
console.log(JSON.stringify({ ids, cursor, ttl, type, complete, found, message, value: value.data?.value, text, event }))
`

const TSCONFIG = {
  compilerOptions: {
    target: 'es2024',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    noEmit: true,
  },
  include: ['*.ts'],
}

const bin = (name: string) => join(repository, 'node_modules', '.bin', name)

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  running = await startApi({ REDIS_URL: database.url })
  await database.client.hset('device:hall/1:metadata', { datatype_name: 'door', persist: 'true' })
  await database.client.sadd(DEVICE_INDEX_KEY, 'hall/1')
  project = await mkdtemp(join(tmpdir(), 'test-generated-client-'))
  await mkdir(join(project, 'node_modules', '@types'), { recursive: true })
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers', '@types/node', 'undici-types']) {
    await symlink(join(repository, 'node_modules', name), join(project, 'node_modules', name))
  }
  await writeFile(join(project, 'package.json'), '{"type":"module"}')
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  await writeFile(join(project, 'program.ts'), PROGRAM)
})
afterAll(async () => {
  await rm(project, { recursive: true })
  await running.stop()
  await database.release()
})

describe('a client generated from the OpenAPI document', () => {
  test('compiles in strict mode, and calls the API', { timeout: 180_000 }, async () => {
    const document = join(project, 'openapi.json')
    await writeFile(document, await (await fetch(`${running.url}/openapi.json`)).text())
    const hook = pathToFileURL(join(repository, 'test/support/docs/use-typescript-5.ts')).href
    const generator = join(repository, 'node_modules/openapi-typescript/bin/cli.js')
    await run(process.execPath, ['--import', hook, generator, document, '-o', join(project, 'api.ts')])
    const compiled = await run(bin('tsc'), ['-p', project]).catch((error: unknown) => Object(error))
    expect(compiled.stdout).toBe('')
    const { stdout } = await run(process.execPath, [join(project, 'program.ts'), running.url])
    expect(JSON.parse(stdout)).toEqual({
      ids: ['hall/1'],
      cursor: null,
      ttl: null,
      type: 'not_found',
      complete: true,
      found: ['hall/1'],
      message: 'Valor guardado en cache',
      value: { n: 1 },
      text: 'Clave no encontrada',
      event: { change: 'changed', device_ids: ['hall/1'], more: 0 },
    })
  })
})

import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { storeDevice } from '../support/cli-fixtures.ts'
import { asWritten, readExamples, runExample, tidy, type ExampleWorld } from '../support/doc-examples.ts'
import { useRedisDatabase, type RedisDatabase } from '../support/test-scope.ts'

const examplesOf = (name: string) =>
  readExamples(readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8'))

describe('the examples of docs/cli.md', () => {
  let database: RedisDatabase
  let folder: string
  let world: ExampleWorld

  beforeAll(async () => {
    database = await useRedisDatabase(inject('redisUrl'))
    folder = mkdtempSync(join(tmpdir(), 'test-cli-docs-'))
    await storeDevice(database, 'sensor-1')
    world = { env: { REDIS_URL: database.url }, aliases: {} }
  })
  afterAll(async () => {
    await database.release()
    await rm(folder, { recursive: true })
  })

  test.each(examplesOf('cli.md'))('line $line: $command', async (example) => {
    const { exitCode, shown } = await runExample(example, world)
    expect(asWritten(shown, example, world)).toBe(tidy(example.shown, world))
    expect(exitCode).toBe(example.exitCode)
  })
})

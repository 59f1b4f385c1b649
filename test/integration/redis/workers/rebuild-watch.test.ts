import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { WorkerReport } from '../../../../cache-service/core/workers/worker-report.ts'
import { createRebuildWatch } from '../../../../cache-service/redis/workers/rebuild-watch.ts'
import {
  createProgressStore,
  requestRebuild,
} from '../../../../cache-service/redis/workers/group-progress.ts'
import { createWorkerReports } from '../../../../cache-service/redis/workers/worker-reports.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import { workerReport } from '../../../support/records/worker-report.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

const SOURCE = { group: 'g', topic: 't' }
const KEY = progressKey(SOURCE.group, SOURCE.topic)

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

describe('without a live worker, a rebuild is pending', () => {
  test('while Redis holds neither progress nor devices: it was never filled, or has lost everything', async () => {
    expect(await isRebuilding()).toBe(true)
    await database.client.sadd('devices', 'by another program')
    expect(await isRebuilding()).toBe(false)
    await database.client.del('devices')
    await database.client.hset(KEY, '0', '5')
    expect(await isRebuilding()).toBe(false)
  })

  test('from the request for it until a worker has completed it', async () => {
    const progress = createProgressStore(database.client, SOURCE.group, SOURCE.topic)
    await progress.advance(0, undefined, 10)
    await progress.advance(1, undefined, 20)
    expect(await isRebuilding()).toBe(false)
    await requestRebuild(database.client, SOURCE.group, SOURCE.topic, [0, 1])
    expect(await isRebuilding()).toBe(true)
    for (const partition of [0, 1]) {
      await progress.overwrite(partition, undefined, 0)
      await progress.markRebuild(partition, 10)
      expect(await isRebuilding()).toBe(true)
    }
    await progress.advance(0, 0, 10)
    await progress.markRebuild(0, undefined)
    expect(await isRebuilding()).toBe(true)
    // The worker died after its last chunk, before it removed the mark.
    await progress.advance(1, 0, 10)
    expect(await isRebuilding()).toBe(false)
  })

  test('if a request names one partition of many that are complete', async () => {
    await database.client.hset(KEY, { 0: '5', 1: '5', '1:requested': '1' })
    expect(await isRebuilding()).toBe(true)
  })
})

describe('with live workers, a rebuild is pending', () => {
  test('while one of them reports it', async () => {
    await database.client.hset(KEY, '0', '5')
    await report('a', { rebuilding: false, ...SOURCE })
    expect(await isRebuilding()).toBe(false)
    await report('b', { rebuilding: true })
    expect(await isRebuilding()).toBe(true)
  })

  test('while the progress of the topic and group that they report says so, and not because it is absent', async () => {
    await report('a', { rebuilding: false, group: 'another', topic: 'other' })
    expect(await isRebuilding()).toBe(false)
    await database.client.hset(progressKey('another', 'other'), { '3:until': '7', 3: '6' })
    expect(await isRebuilding()).toBe(true)
  })
})

test('whether a rebuild is pending is read at most once a second', async () => {
  let nowMs = 0
  const watch = createRebuildWatch(database.client, createWorkerReports(database.client), SOURCE, () => nowMs)
  expect(await watch.isRebuilding()).toBe(true)
  await database.client.hset(KEY, '0', '5')
  expect(await watch.isRebuilding()).toBe(true)
  nowMs += 1_000
  expect(await watch.isRebuilding()).toBe(false)
})

async function isRebuilding(): Promise<boolean> {
  const { client } = database
  return await createRebuildWatch(client, createWorkerReports(client), SOURCE, () => 0).isRebuilding()
}

async function report(id: string, facts: Partial<WorkerReport>): Promise<void> {
  await lastingWorkerReporter(database.client, id).write(workerReport({ ...facts, id }))
}

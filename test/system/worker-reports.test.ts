import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { DEVICE_STREAM_KEY, LISTENING_KEY } from '../../shared/contract/keys.ts'
import { createWorkerReports } from '../../cache-service/redis/workers/worker-reports.ts'
import { eventually, patiently } from '../support/eventually.ts'
import { tombstone, update } from '../support/records/tagged-records.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

test('a running worker publishes a report, with the coordinates and messages of dead letters', async (context) => {
  const scenario = await openWorkerScenario(context)
  const worker = await scenario.startWorker()
  await worker.ready()
  const poison = {
    key: 'a',
    value: Buffer.from('not JSON'),
    timestampMs: Date.now(),
    partition: 1,
    expectation: { outcome: 'rejected', reason: 'not_json' },
  } as const
  await scenario.send([update({ deviceId: 'a' }), update({ deviceId: 'b' }), poison])
  const reports = createWorkerReports(scenario.redis)
  await eventually(async () => {
    expect(await reports.read()).toMatchObject([
      {
        state: 'consuming',
        ready: true,
        rebuilding: false,
        totals: { applied: 2, dead_lettered: 1 },
        dead_letters_total: 1,
        dead_letters_by_reason: { not_json: 1 },
        lag_records: 0,
        lag: [{ partition: 0 }, { partition: 1 }, { partition: 2 }],
        dead_letters: [
          {
            ...{ reason: 'not_json', topic: scenario.topic, partition: 1, offset: '0' },
            message: expect.stringContaining('JSON'),
          },
        ],
      },
    ])
  })
  expect(await worker.stop()).toBe(0)
  expect(await reports.read()).toEqual([])
})

test('a worker appends device hints while there are listeners, and one gap for a rebuild', async (context) => {
  const scenario = await openWorkerScenario(context)
  const { redis } = scenario
  const worker = await scenario.startWorker()
  await worker.ready()
  // The first fill of an empty partition is a rebuild as well.
  for (const partition of [0, 1, 2])
    await scenario.send([{ ...update({ deviceId: `first-${partition}` }), partition }])
  await eventually(async () => expect(await scenario.consumed()).toBe(3))
  await worker.ready()
  await eventually(async () => expect((await hints(redis)).length).toBeGreaterThan(0))
  expect(new Set(await hints(redis))).toEqual(new Set(['gap rebuild']))
  await redis.del(DEVICE_STREAM_KEY)

  await scenario.send([update({ deviceId: 'without-listener' })])
  await eventually(async () => expect(await scenario.consumed()).toBe(4))
  await redis.set(LISTENING_KEY, '1')
  // The gap may also come from a partition's first fill, which means the same.
  await eventually(async () => expect((await hints(redis)).join()).toMatch(/^gap (missed|rebuild)/))
  // Another gap may still be owed, for another partition; after it there are hints only.
  await patiently(async () => {
    await redis.del(DEVICE_STREAM_KEY)
    await scenario.send([update({ deviceId: 'a' }), update({ deviceId: 'b' })])
    await eventually(async () => {
      const found = (await hints(redis)).join()
      expect(found).toMatch(/"a"/)
      expect(found).toMatch(/"b"/)
    })
    expect((await hints(redis)).every((hint) => hint.startsWith('changed'))).toBe(true)
  })
  await scenario.send([tombstone('a')])
  await eventually(async () => expect((await hints(redis)).at(-1)).toBe('deleted ["a"]'))

  await redis.flushdb()
  await redis.set(LISTENING_KEY, '1')
  await eventually(async () => expect(await hints(redis)).toContain('gap rebuild'))
  await eventually(async () => expect(await redis.exists('device:first-1:metadata')).toBe(1))
  expect(new Set(await hints(redis))).toEqual(new Set(['gap rebuild']))
  expect(await redis.exists('device:b:metadata')).toBe(1)
  const reports = createWorkerReports(redis)
  await eventually(async () => expect(await reports.read()).toMatchObject([{ rebuilding: false }]))
})

/** The kind of each entry, and its ids or reason. */
async function hints(redis: Redis): Promise<string[]> {
  const entries = await redis.xrange(DEVICE_STREAM_KEY, '-', '+')
  return entries.map(([, fields]) => `${fields[1]} ${fields[3]}`)
}

import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { parseDeviceId, type DeviceId } from '../../../../shared/contract/device-id.ts'
import { LISTENING_KEY, WORKERS_KEY, workerReportKey } from '../../../../shared/contract/keys.ts'
import { BEFORE_ALL } from '../../../../cache-service/core/events/event-position.ts'
import { planChunk, type ChunkPlan } from '../../../../cache-service/core/records/plan.ts'
import type { WriteOutcome } from '../../../../cache-service/core/records/write-outcome.ts'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import type { ReadinessCheck } from '../../../../cache-service/lifecycle/readiness.ts'
import { runServices } from '../../../../cache-service/lifecycle/service.ts'
import { DeviceHints } from '../../../../cache-service/pipeline/worker/device-hints.ts'
import { ReportSchedule } from '../../../../cache-service/pipeline/worker/report-schedule.ts'
import { WorkerFigures } from '../../../../cache-service/pipeline/worker/worker-figures.ts'
import { createReportBuilder } from '../../../../cache-service/pipeline/worker/report-builder.ts'
import {
  createEventStreams,
  createHintAppender,
} from '../../../../cache-service/redis/events/event-streams.ts'
import {
  createWorkerReporter,
  createWorkerReports,
} from '../../../../cache-service/redis/workers/worker-reports.ts'
import { startEventApi } from '../../../support/processes/event-api.ts'
import { eventually } from '../../../support/eventually.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { resultCounts } from '../../../support/records/result-counts.ts'
import { workerReport } from '../../../support/records/worker-report.ts'

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

describe('worker reports', () => {
  test('are read as they were written, in the order of the worker ids, until they expire', async () => {
    const { client } = database
    const now = () => Date.now()
    const [a, b] = ['a', 'b'].map((id) => createWorkerReporter(client, id, now))
    await b?.write(workerReport({ id: 'b' }))
    await a?.write(workerReport({ id: 'a' }))
    const reports = createWorkerReports(client)
    expect(await reports.read()).toEqual([workerReport({ id: 'a' }), workerReport({ id: 'b' })])
    expect(await client.pttl(workerReportKey('a'))).toBeGreaterThan(10_000)
    await client.del(workerReportKey('a')) // as if it had expired
    expect((await reports.read()).map(({ id }) => id)).toEqual(['b'])
    await b?.remove()
    expect(await reports.read()).toEqual([])
    expect(await client.zrange(WORKERS_KEY, '0', '-1')).toEqual(['a'])
  })

  test('of another shape are skipped', async () => {
    const { client } = database
    await createWorkerReporter(client, 'a', () => Date.now()).write(workerReport({ id: 'a' }))
    await client.zadd(WORKERS_KEY, String(Date.now()), 'other', String(Date.now()), 'text')
    await client.set(workerReportKey('other'), '{"id":"other"}')
    await client.set(workerReportKey('text'), 'x')
    const reports = createWorkerReports(client)
    expect((await reports.read()).map(({ id }) => id)).toEqual(['a'])
  })

  test('drop workers that have long been gone from the index', async () => {
    const { client } = database
    await client.zadd(WORKERS_KEY, String(Date.now() - 7_200_000), 'gone')
    await createWorkerReporter(client, 'a', () => Date.now()).write(workerReport({ id: 'a' }))
    expect(await client.zrange(WORKERS_KEY, '0', '-1')).toEqual(['a'])
  })

  test('say what happened in the worker, and are served by the API', async () => {
    let nowMs = Date.parse('2026-01-01T00:00:00Z')
    const now = () => nowMs
    const figures = new WorkerFigures('validated', { now, monotonicNow: now })
    const checks: ReadinessCheck[] = [() => ['rebuilding: rereading']]
    const buildReport = createReportBuilder({
      id: 'worker-1',
      group: 'g',
      topic: 't',
      version: '1.2.3',
      figures,
      consumer: { state: 'consuming' },
      guard: { isRebuilding: true },
      groupWatch: {
        unread: [{ partition: 5, position: 7, records: 3, reason: 'other_member', owner: 'app at h' }],
      },
      checks,
      now,
      monotonicNow: now,
    })
    figures.chunkApplied(resultCounts({ applied: 15, stale: 5 }))
    for (let n = 0; n < 25; n++) {
      nowMs += 10
      figures.deadLetter({
        partition: 1,
        offset: n,
        reason: 'not_json',
        detail: `no JSON \ud800${'x'.repeat(999)}`,
      })
    }
    figures.deadLettersSent(Array.from({ length: 25 }, (_, n) => (n < 24 ? 'not_json' : 'bad_key')))
    figures.lagMeasured(
      new Map([
        [2, { records: 7, seconds: undefined }],
        [0, { records: 3, seconds: 1.5 }],
      ]),
    )
    nowMs = Date.parse('2026-01-01T00:00:05Z')
    const written = buildReport()
    expect(written).toMatchObject({
      id: 'worker-1',
      state: 'consuming',
      ready: false,
      reasons: ['rebuilding: rereading'],
      rebuilding: true,
      rates: { records: 4, applied: 3, dead_letters: 5 },
      totals: { applied: 15, stale: 5 },
      dead_letters_total: 25,
      dead_letters_by_reason: { not_json: 24, bad_key: 1 },
      lag: [
        { partition: 0, records: 3, seconds: 1.5 },
        { partition: 2, records: 7, seconds: null },
      ],
      unread: [{ partition: 5, records: 3, reason: 'other_member', owner: 'app at h' }],
      lag_records: 10,
      devices: null,
    })
    expect(written.dead_letters).toHaveLength(20)
    expect(written.history).toMatchObject({ interval_ms: 15_000, consumed_per_second: [] })
    expect(written.dead_letters[0]).toMatchObject({
      offset: '24',
      message: `no JSON \ufffd${'x'.repeat(291)}`,
    })
    nowMs += 5_000
    checks.length = 0
    expect(buildReport()).toMatchObject({
      ready: true,
      reasons: [],
      rates: { records: 0, applied: 0, dead_letters: 0 },
    })

    nowMs += 10_000
    const history = {
      interval_ms: 15_000,
      at: '2026-01-01T00:00:20.000Z',
      consumed_per_second: [1],
      lag: [10],
      dead_letters: [25],
    }
    expect(buildReport()).toMatchObject({ history })
    await createWorkerReporter(database.client, 'worker-1', () => Date.now()).write({ ...written, history })
    const api = await startEventApi(database.url)
    onTestFinished(() => api.stop())
    expect(await getJson(`${api.url}/api/workers`)).toEqual({ workers: [{ ...written, history }] })
    const deadLetters = await getJson(`${api.url}/api/dead-letters`)
    expect(deadLetters).toMatchObject({
      dead_letters: expect.arrayContaining([
        {
          worker: 'worker-1',
          at: written.dead_letters[0]?.at,
          reason: 'not_json',
          topic: 'validated',
          partition: 1,
          offset: '24',
          message: written.dead_letters[0]?.message,
        },
      ]),
    })
  })
})

describe('the report schedule', () => {
  test('reports every 5 s, soon after a change, and again after a failure', async () => {
    let nowMs = 1_000
    let failures = 0
    let turns = 0
    const reportedAt: number[] = []
    // The schedule asks for the time at every turn.
    const schedule = new ReportSchedule(() => {
      turns++
      return nowMs
    })
    const service = schedule.service(
      async () => {
        reportedAt.push(nowMs)
        if (failures-- > 0) throw new Error('no connection')
      },
      new LoopMonitor(() => Date.now()),
    )
    const stop = new AbortController()
    const ended = runServices([service], stop.signal)
    onTestFinished(async () => {
      stop.abort()
      await ended
    })
    await eventually(() => expect(reportedAt).toEqual([1_000]))
    nowMs += 5_000
    await eventually(() => expect(reportedAt).toEqual([1_000, 6_000]))
    nowMs += 100
    schedule.changed()
    await eventually(() => expect(reportedAt).toEqual([1_000, 6_000, 6_100]))
    failures = 1
    nowMs += 5_000
    await eventually(() => expect(reportedAt).toEqual([1_000, 6_000, 6_100, 11_100, 11_100]))
    nowMs += 4_999
    const turnsBefore = turns
    await eventually(() => expect(turns).toBeGreaterThan(turnsBefore + 1))
    expect(reportedAt).toHaveLength(5)
  })
})

describe('hints about devices', () => {
  test('name the changed and the deleted devices, with at most four entries a second of each kind', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const hints = startHints()
    await heard(hints)
    const startedMs = performance.now()
    for (let n = 0; n < 2_000; n++) {
      hints.note(
        ...chunk([`device-${n % 5}`, `stale-${n}`], ['gone'], (id) =>
          id.startsWith('stale') ? 'stale' : 'changed',
        ),
      )
      if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const entries = await eventually(async () => {
      const found = await hinted()
      expect(found.some(({ kind }) => kind === 'deleted')).toBe(true)
      return found
    })
    const seconds = (performance.now() - startedMs) / 1_000
    const changed = entries.filter((entry) => entry.kind === 'changed')
    expect(new Set(changed.flatMap((entry) => ('deviceIds' in entry ? entry.deviceIds : [])))).toEqual(
      new Set(['device-0', 'device-1', 'device-2', 'device-3', 'device-4']),
    )
    expect(changed.length).toBeLessThanOrEqual(Math.ceil(seconds * 4) + 2)
  })

  test('list a limited number of ids, and say how many more there were', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const hints = startHints()
    await heard(hints)
    hints.note(
      ...chunk(
        Array.from({ length: 1_000 }, (_, n) => `device-${n}`),
        [],
      ),
    )
    await eventually(async () => {
      const last = (await hinted()).at(-1)
      expect(last).toMatchObject({ kind: 'changed', more: 750 })
    })
  })

  test('name what an earlier attempt of the chunk may have written or deleted, after which nothing changes', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const hints = startHints()
    await heard(hints)
    hints.note(...chunk(['written-before'], ['deleted-before'], () => 'unchanged', 'absent'))
    await eventually(async () => {
      expect((await hinted()).slice(1)).toMatchObject([
        { kind: 'changed', deviceIds: ['written-before'] },
        { kind: 'deleted', deviceIds: ['deleted-before'] },
      ])
    })
  })

  test('are not appended while no API listens, and leave a gap for those that listen later', async () => {
    const hints = startHints()
    hints.note(...chunk(['a'], []))
    expect(await hinted()).toEqual([])
    await database.client.set(LISTENING_KEY, '1')
    await eventually(async () => expect(await hinted()).toMatchObject([{ kind: 'gap', reason: 'missed' }]))
    hints.note(...chunk(['b'], []))
    await eventually(async () => {
      expect((await hinted()).at(-1)).toMatchObject({ kind: 'changed', deviceIds: ['b'] })
    })
  })

  test('leave a gap when the connection is replaced, because a failover may have lost those before', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const redis = database.client.duplicate()
    onTestFinished(() => redis.disconnect())
    const hints = startHints(redis)
    await heard(hints)
    hints.note(...chunk(['acknowledged'], []))
    await eventually(async () => expect(await hinted()).toHaveLength(2))
    await database.client.client('KILL', 'ID', await redis.client('ID'))
    await eventually(async () => {
      expect((await hinted()).slice(1)).toMatchObject([
        { kind: 'changed', deviceIds: ['acknowledged'] },
        { kind: 'gap', reason: 'missed' },
      ])
    })
  })

  test('leave a gap when partitions are assigned: their last owner may have ended too early', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const hints = startHints()
    await heard(hints)
    hints.assigned([0, 1])
    await eventually(async () =>
      expect(await hinted()).toMatchObject([{ kind: 'gap' }, { kind: 'gap', reason: 'missed' }]),
    )
    hints.assigned([1])
    hints.note(...chunk(['kept'], []))
    await eventually(async () => expect((await hinted()).at(-1)).toMatchObject({ deviceIds: ['kept'] }))
    expect(await hinted()).toHaveLength(3)
    hints.assigned([0, 1])
    await eventually(async () => expect((await hinted()).at(-1)).toMatchObject({ reason: 'missed' }))
  })

  test('are not appended during a rebuild, and leave one gap when it is over', async () => {
    await database.client.set(LISTENING_KEY, '1')
    const hints = startHints()
    await heard(hints)
    const before = (await hinted()).length
    hints.rebuilding(true)
    for (let n = 0; n < 10; n++) hints.note(...chunk([`device-${n}`], []))
    hints.rebuilding(false)
    hints.note(...chunk(['the last of it'], []))
    await eventually(async () => {
      expect((await hinted()).slice(before)).toMatchObject([{ kind: 'gap', reason: 'rebuild' }])
    })
    hints.note(...chunk(['after'], []))
    await eventually(async () => {
      expect((await hinted()).slice(before)).toMatchObject([{ kind: 'gap' }, { deviceIds: ['after'] }])
    })
  })
})

function startHints(redis: Redis = database.client): DeviceHints {
  const hints = new DeviceHints(createHintAppender(redis))
  const stop = new AbortController()
  const ended = runServices(hints.services(new LoopMonitor(() => Date.now())), stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await ended
  })
  return hints
}

/** Resolves when the hints have noticed the listener: then they append the gap of what was missed before. */
async function heard(hints: DeviceHints): Promise<void> {
  hints.note(...chunk(['missed'], []))
  await eventually(async () => expect(await hinted()).toMatchObject([{ kind: 'gap', reason: 'missed' }]))
}

async function hinted() {
  return (await createEventStreams(database.client).read('device', BEFORE_ALL, '+', 1_000))?.entries ?? []
}

function deviceIdOf(text: string): DeviceId {
  const deviceId = parseDeviceId(text)
  if (deviceId === undefined) throw new Error(`${text} is no device id`)
  return deviceId
}

function chunk(
  updated: readonly string[],
  deleted: readonly string[],
  status: (id: string) => 'changed' | 'unchanged' | 'stale' = () => 'changed',
  deletes: 'deleted' | 'absent' = 'deleted',
): [ChunkPlan, WriteOutcome] {
  const empty = planChunk([], {
    nowMs: 0,
    settings: { metadataTtlMs: 0, maxFutureSkewMs: 0, maxRecordBytes: 1_000, extraFields: [] },
    internalErrorsInARow: 0,
  })
  const plan: ChunkPlan = {
    ...empty,
    updates: updated.map((name, index) => ({
      index,
      deviceId: deviceIdOf(name),
      lastUpdated: '',
      fields: [],
      expiresAtMs: 0,
    })),
    deletes: deleted.map((name, index) => ({ index, deviceId: deviceIdOf(name), deletesUpTo: '' })),
  }
  return [plan, { updates: updated.map(status), deletes: deleted.map(() => deletes) }]
}

async function getJson(url: string): Promise<unknown> {
  return JSON.parse(await (await fetch(url)).text())
}

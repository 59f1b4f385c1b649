import { describe, expect, test } from 'vitest'
import {
  formatDuration,
  judgeErrorTopic,
  judgeFixedKeys,
  judgeRedis,
  judgeRetention,
  type DoctorRole,
  type RedisFacts,
} from '../../../cache-service/core/doctor.ts'
import { hintFor } from '../../../cache-service/core/operator-hint.ts'
import { rebuildProgress } from '../../../cache-service/core/workers/rebuild.ts'
import { redisError } from '../../../shared/errors.ts'
import { DAY_MS } from '../../support/records/record-builder.ts'

const GOOD: RedisFacts = {
  version: '7.4.1',
  isValkey: false,
  isReplica: false,
  isCluster: false,
  maxMemoryBytes: 0,
  usedMemoryBytes: 95,
  hasFailedToSave: false,
  evictionPolicy: 'noeviction',
  hasAppendOnlyFile: true,
  save: '',
  clockAheadMs: 20,
}

function verdicts(facts: Partial<RedisFacts>, role: DoctorRole = 'worker') {
  const findings = judgeRedis({ ...GOOD, ...facts }, role)
  for (const { fix, verdict } of findings) {
    expect(fix !== undefined).toBe(verdict === 'warning' || verdict === 'failed')
  }
  return Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]))
}

describe('the doctor on Redis', () => {
  const ALL_OK = {
    ...{ version: 'ok', mode: 'ok', eviction: 'ok', memory: 'ok', persistence: 'ok', clock: 'ok' },
  }

  test('reports only ok for a healthy server', () => {
    expect(verdicts({})).toEqual(ALL_OK)
  })

  test.each<[string, Partial<RedisFacts>, Partial<Record<keyof typeof ALL_OK, string>>]>([
    ['an old version', { version: '6.2.14' }, { version: 'failed' }],
    ['Valkey', { version: '8.1.0', isValkey: true }, {}],
    ['Redis 10', { version: '10.0.0' }, {}],
    ['a replica', { isReplica: true }, { mode: 'failed' }],
    ['a cluster', { isCluster: true }, { mode: 'failed' }],
    ['an eviction policy', { evictionPolicy: 'allkeys-lru' }, { eviction: 'warning' }],
    [
      'denied INFO fields and TIME',
      { evictionPolicy: undefined, clockAheadMs: undefined },
      { eviction: 'skipped', clock: 'skipped' },
    ],
    ['a server that has room', { maxMemoryBytes: 200 }, {}],
    ['a server that is nearly full', { maxMemoryBytes: 100 }, { memory: 'warning' }],
    ['a full server', { maxMemoryBytes: 95 }, { memory: 'failed' }],
    [
      'a full server that evicts',
      { maxMemoryBytes: 95, evictionPolicy: 'allkeys-lru' },
      { eviction: 'warning' },
    ],
    ['an unknown use of memory', { usedMemoryBytes: undefined }, { memory: 'skipped' }],
    ['no persistence', { hasAppendOnlyFile: false }, {}],
    ['an unknown version', { version: 'unknown' }, { version: 'skipped' }],
    ['a slow clock', { clockAheadMs: -31_000 }, { clock: 'warning' }],
  ])('judges %s', (_what, facts, differing) => {
    expect(verdicts(facts)).toEqual({ ...ALL_OK, ...differing })
  })

  test('gives the same fix as the error that a cluster, or a key of the wrong type, causes', () => {
    const cluster = judgeRedis({ ...GOOD, isCluster: true }, 'worker').find(({ check }) => check === 'mode')
    const moved = hintFor(redisError(new Error('MOVED 866 127.0.0.1:6379')))
    expect(cluster?.fix?.toLowerCase()).toBe(`${moved?.fix.toLowerCase()}.`)
    const [key] = judgeFixedKeys([{ key: 'devices', type: 'set', found: 'list' }])
    const wrongType = Object.assign(new Error('WRONGTYPE'), { command: { name: 'sadd', args: ['devices'] } })
    const [fix] = hintFor(redisError(wrongType))?.fix.split(';') ?? []
    expect(key?.fix?.toLowerCase()).toBe(`${fix}.`)
  })

  test('warns of a server that could not save, since it may refuse writes', () => {
    expect(verdicts({ hasFailedToSave: true })).toEqual({ ...ALL_OK, saving: 'warning' })
  })

  test('accepts missing persistence for a worker only', () => {
    const facts = { hasAppendOnlyFile: false }
    expect(verdicts(facts, 'all')).toMatchObject({ persistence: 'warning' })
    expect(verdicts({ ...facts, save: '3600 1' }, 'all')).toMatchObject({ persistence: 'ok' })
    expect(verdicts({ ...facts, save: undefined }, 'all')).toMatchObject({ persistence: 'skipped' })
  })
})

describe('the doctor on the topics', () => {
  test.each<[string, Record<string, string>, number, string]>([
    ['for longer than the TTL', { 'retention.ms': String(7 * DAY_MS) }, DAY_MS, 'ok'],
    ['for as long as the TTL', { 'retention.ms': String(DAY_MS) }, DAY_MS, 'ok'],
    ['for less than the TTL', { 'retention.ms': String(DAY_MS - 1) }, DAY_MS, 'warning'],
    ['forever', { 'retention.ms': '-1' }, 0, 'ok'],
    ['for a limited time without a TTL', { 'retention.ms': String(7 * DAY_MS) }, 0, 'warning'],
    ['with compaction', { 'retention.ms': '1', 'cleanup.policy': 'compact,delete' }, DAY_MS, 'ok'],
    ['for an unknown time', {}, DAY_MS, 'skipped'],
  ])('judges a topic that keeps records %s', (_what, settings, ttlMs, verdict) => {
    expect(judgeRetention(new Map(Object.entries(settings)), ttlMs).verdict).toBe(verdict)
  })

  test('describes the retention in words and names a fix', () => {
    expect(judgeRetention(new Map([['retention.ms', '3600000']]), DAY_MS)).toMatchObject({
      detail: expect.stringContaining('keeps records for 1 hour, a device expires after 1 day'),
      fix: expect.stringContaining('86400000'),
    })
    expect([1_500, 90_000, 129_600_000, 5].map(formatDuration)).toEqual([
      '1.5 seconds',
      '1.5 minutes',
      '1.5 days',
      '5 ms',
    ])
  })

  test.each([
    ['1048588', 'ok'],
    ['1000', 'warning'],
    [undefined, 'skipped'],
  ])('judges an error topic with max.message.bytes=%s as %s', (bytes, verdict) => {
    const settings = new Map(bytes === undefined ? [] : [['max.message.bytes', bytes]])
    expect(judgeErrorTopic(settings).verdict).toBe(verdict)
  })
})

describe('a rebuild', () => {
  const targets = [
    { partition: 0, from: 10, until: 20 },
    { partition: 1, from: 5, until: 5 },
    { partition: 2, from: 0, until: 4 },
  ]

  test.each<[Record<number, number | undefined>, number, boolean]>([
    [{}, 0, false],
    [{ 0: 3, 2: undefined }, 0, false],
    [{ 0: 15, 1: 5, 2: 4 }, 9, false],
    [{ 0: 25, 2: 4 }, 14, true],
  ])('with the progress %o has read %i of 14 records', (next, done, isComplete) => {
    const stored = new Map(Object.entries(next).map(([partition, offset]) => [Number(partition), offset]))
    expect(rebuildProgress(targets, stored)).toEqual({ done, total: 14, isComplete })
  })

  test('of an empty topic is complete', () => {
    expect(rebuildProgress([], new Map()).isComplete).toBe(true)
  })
})

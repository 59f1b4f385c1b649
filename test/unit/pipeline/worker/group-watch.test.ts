import { beforeEach, describe, expect, test } from 'vitest'
import type { ConsumerGroup, GroupMember } from '../../../../cache-service/core/workers/consumer-group.ts'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import { GroupWatch } from '../../../../cache-service/pipeline/worker/group-watch.ts'
import { createProcessMetrics } from '../../../../cache-service/telemetry/process-metrics.ts'
import { createWorkerTelemetry } from '../../../../cache-service/telemetry/worker-telemetry.ts'
import { createCollectedLog } from '../../../support/collected-log.ts'
import { eventually } from '../../../support/eventually.ts'
import { parseMetrics } from '../../../support/processes/parse-metrics.ts'

const TOPIC = 't'

const foreign: GroupMember = {
  clientId: 'app',
  host: 'h',
  topics: [TOPIC],
  partitions: new Map(),
  kind: 'other_program',
}

type World = {
  nowMs: number
  /** undefined: Kafka does not describe the group. */
  group: ConsumerGroup | undefined
  isJoined: boolean
  isRedisReady: boolean
}

let world: World
let watch: GroupWatch
let metric: (name: string) => Promise<number>
let checks: number

/** Partition 0 has five records, and no member owns it. */
beforeEach(() => {
  world = {
    nowMs: 0,
    group: { state: 'Stable', isSettled: true, members: [foreign] },
    isJoined: true,
    isRedisReady: true,
  }
  checks = 0
  const metrics = createProcessMetrics('1.2.3', 'v24.21.0', 'worker')
  const monotonicNow = () => world.nowMs
  const { log } = createCollectedLog('info')
  const telemetry = createWorkerTelemetry(log, metrics, TOPIC, 'group', { now: monotonicNow, monotonicNow })
  metric = async (name) => {
    const samples = parseMetrics(await metrics.registry.metrics())
    return samples
      .filter((sample) => sample.name === `cache_service_${name}`)
      .reduce((sum, { value }) => sum + value, 0)
  }
  watch = new GroupWatch({
    topic: TOPIC,
    groupId: 'group',
    async readGroup() {
      checks++
      if (world.group === undefined) throw new Error('Kafka is down')
      return world.group
    },
    readPositions: async () => new Map([[0, { committed: undefined, earliest: 0, end: 5 }]]),
    progress: { peek: async () => new Map() },
    isRedisReady: () => world.isRedisReady,
    consumer: {
      get isJoined() {
        return world.isJoined
      },
      partitions: [],
    },
    idleLanes: () => new Map(),
    telemetry,
    monitor: new LoopMonitor(monotonicNow),
    now: monotonicNow,
  })
})

/** One check; returns when it has ended. */
async function check(): Promise<void> {
  const before = checks
  watch.checkNow()
  expect(checks).toBe(before + 1)
  await new Promise(setImmediate)
}

/** What the worker shows: its reasons, its report and its metrics. */
async function shown() {
  const reasons = watch.notReadyReasons()
  return {
    foreign: reasons.some((reason) => reason.startsWith('shared group')),
    foreignMetric: await metric('foreign_group_members'),
    unread: reasons.some((reason) => reason.startsWith('unread')),
    unreadReport: watch.unread.length,
    unreadMetric: await metric('unread_partitions'),
  }
}

const FOREIGN = { foreign: true, foreignMetric: 1 }
const NO_FOREIGN = { foreign: false, foreignMetric: 0 }
const UNREAD = { unread: true, unreadReport: 1, unreadMetric: 1 }
const NONE_UNREAD = { unread: false, unreadReport: 0, unreadMetric: 0 }

async function checkUntilUnread(): Promise<void> {
  await check()
  for (const nowMs of [10_000, 20_000]) {
    world.nowMs = nowMs
    await check()
  }
  await eventually(async () => expect(await shown()).toEqual({ ...FOREIGN, ...UNREAD }))
}

describe('what the group watch has found', () => {
  beforeEach(checkUntilUnread)

  test.each<[when: string, change: Partial<World>, found: object]>([
    [
      'stays while the group rebalances',
      { isJoined: false, group: { state: 'PreparingRebalance', isSettled: false, members: [] } },
      { ...FOREIGN, ...UNREAD },
    ],
    ['stays while Redis is down', { isRedisReady: false }, { ...FOREIGN, ...UNREAD }],
    ['stays if Kafka does not answer once', { group: undefined }, { ...FOREIGN, ...UNREAD }],
    [
      'is only the members while one of them keeps the worker out',
      { isJoined: false },
      { ...FOREIGN, ...NONE_UNREAD },
    ],
    [
      'is nothing when the group is empty',
      { isJoined: false, group: { state: 'Empty', isSettled: true, members: [] } },
      { ...NO_FOREIGN, ...NONE_UNREAD },
    ],
    [
      'is nothing when the worker has lost its place because Kafka is down',
      { isJoined: false, group: undefined },
      { ...NO_FOREIGN, ...NONE_UNREAD },
    ],
  ])('%s', async (_, change, found) => {
    Object.assign(world, change)
    await check()
    expect(await shown()).toEqual(found)
  })

  test('is found again after the worker has rejoined', async () => {
    world.isJoined = false
    await check()
    world.isJoined = true
    world.nowMs += 5_000
    await check()
    expect(await shown()).toEqual({ ...FOREIGN, ...NONE_UNREAD })
    for (let i = 0; i < 2; i++) {
      world.nowMs += 10_000
      await check()
    }
    expect(await shown()).toEqual({ ...FOREIGN, ...UNREAD })
  })
})

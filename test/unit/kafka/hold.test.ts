import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Hold, type HoldDependencies } from '../../../cache-service/kafka/hold.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'

const oom = redisError(new Error("OOM command not allowed when used memory > 'maxmemory'."))
const refused = redisError(new Error('connect ECONNREFUSED 127.0.0.1:6379'))

/** Collects what the hold reports and does; the test controls the clock and the random number. */
function setUp(probe: HoldDependencies['probe'] = () => Promise.resolve()) {
  const log: string[] = []
  const world = { nowMs: 1_000, random: 0 }
  const hold = new Hold({
    now: () => world.nowMs,
    random: () => world.random,
    probe,
    telemetry: {
      held: (partition, error, attempt) => log.push(`held ${partition} ${error.code} ${attempt}`),
      paused: (reason) => log.push(`paused: ${reason}`),
      resumed: (heldMs) => log.push(`resumed after ${heldMs}`),
    },
  })
  const stop = new AbortController()
  const pause = () =>
    hold.pauseUntilProbeSucceeds(
      () => log.push('pause'),
      () => log.push('resume'),
      stop.signal,
    )
  return { hold, log, world, stop, pause }
}

describe('an open hold', () => {
  test('is the initial state', () => {
    const { hold, log } = setUp()
    expect(hold).toMatchObject({ kind: 'open', reason: undefined })
    expect(log).toEqual([])
  })

  test('reports no chunk that becomes durable, and does not pause', async () => {
    const { hold, log, pause } = setUp()
    hold.succeeded()
    await pause()
    expect(hold.kind).toBe('open')
    expect(log).toEqual([])
  })
})

describe('a hold', () => {
  test('begins with a failure, and gives the reason', () => {
    const { hold, log } = setUp()
    hold.failed(3, oom)
    expect(hold).toMatchObject({
      kind: 'holding',
      reason: "redis OOM: OOM command not allowed when used memory > 'maxmemory'.",
    })
    expect(log).toEqual(['held 3 OOM 1'])
  })

  test('counts attempts over all partitions, and gives the last failure as its reason', () => {
    const { hold, log } = setUp()
    hold.failed(3, oom)
    hold.failed(4, oom)
    hold.failed(3, refused)
    expect(log).toEqual(['held 3 OOM 1', 'held 4 OOM 2', 'held 3 CONNECTION 3'])
    expect(hold.reason).toBe('redis CONNECTION: connect ECONNREFUSED 127.0.0.1:6379')
  })

  test('ends with a chunk that becomes durable, and reports how long it lasted', () => {
    const { hold, log, world } = setUp()
    hold.failed(0, oom)
    world.nowMs += 700
    hold.failed(0, oom)
    world.nowMs += 300
    hold.succeeded()
    expect(hold).toMatchObject({ kind: 'open', reason: undefined })
    expect(log.at(-1)).toBe('resumed after 1000')
  })

  test('counts attempts from one again after it has ended', () => {
    const { hold, log } = setUp()
    hold.failed(0, oom)
    hold.failed(0, oom)
    hold.succeeded()
    hold.failed(0, oom)
    expect(log.at(-1)).toBe('held 0 OOM 1')
  })

  test('is too long for a handler after 8 s', () => {
    const { hold, world } = setUp()
    const sinceMs = world.nowMs
    hold.failed(0, oom)
    world.nowMs += 7_999
    expect(hold.isTooLong(sinceMs)).toBe(false)
    world.nowMs += 1
    expect(hold.isTooLong(sinceMs)).toBe(true)
  })
})

describe('the backoff', () => {
  test('ends immediately when the process stops', async () => {
    const { hold, world, stop } = setUp()
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const waiting = hold.backOff(stop.signal)
    stop.abort()
    await waiting
  })

  test('takes at most 2 s, since the handler has to send heartbeats', async () => {
    const { hold, world, stop } = setUp()
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const startedAt = performance.now()
    await hold.backOff(stop.signal)
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })
})

describe('a paused hold', () => {
  test('resumes consumption when the probe succeeds, but is not open yet', async () => {
    const answers = [false, false, true]
    const probed: ServiceError[] = []
    const { hold, log, pause } = setUp(async (failure) => {
      probed.push(failure)
      if (answers.shift() !== true) throw new Error('still full')
    })
    hold.failed(0, oom)
    const pausing = pause()
    expect(hold).toMatchObject({
      kind: 'paused',
      reason: expect.stringContaining('redis OOM'),
    })
    await pausing
    expect(probed).toEqual([oom, oom, oom])
    expect(hold).toMatchObject({
      kind: 'holding',
      reason: expect.stringContaining('redis OOM'),
    })
    expect(log).toEqual([
      'held 0 OOM 1',
      "paused: redis OOM: OOM command not allowed when used memory > 'maxmemory'.",
      'pause',
      'resume',
    ])
  })

  test('pauses once, however many handlers ask for it', async () => {
    const { promise: answer, resolve: succeed } = Promise.withResolvers<void>()
    const { hold, log, pause } = setUp(() => answer)
    hold.failed(0, oom)
    const first = pause()
    await pause()
    expect(log.filter((line) => line === 'pause')).toHaveLength(1)
    expect(hold.kind).toBe('paused')
    succeed()
    await first
    expect(log.filter((line) => line === 'resume')).toHaveLength(1)
  })

  test('is not ended by a chunk of another partition that becomes durable', async () => {
    const { promise: answer, resolve: succeed } = Promise.withResolvers<void>()
    const { hold, log, pause } = setUp(() => answer)
    hold.failed(0, oom)
    const pausing = pause()
    hold.succeeded()
    expect(hold.kind).toBe('paused')
    succeed()
    await pausing
    expect(log).not.toContainEqual(expect.stringMatching(/^resumed/))
  })

  test('that fails again keeps counting attempts, so that the backoff keeps growing', async () => {
    const answers = [false, true]
    const { hold, log, pause } = setUp(async () => {
      if (answers.shift() !== true) throw new Error('still full')
    })
    hold.failed(0, oom)
    await pause()
    hold.failed(0, oom)
    expect(log.at(-1)).toBe('held 0 OOM 3')
  })

  test('opens with the next chunk that becomes durable, and reports how long it lasted in all', async () => {
    const { hold, log, world, pause } = setUp()
    hold.failed(0, oom)
    await pause()
    world.nowMs += 60_000
    hold.succeeded()
    expect(hold.kind).toBe('open')
    expect(log.at(-1)).toBe('resumed after 60000')
  })

  test('ends when the consumer stops, without resuming it', async () => {
    const { hold, log, world, stop, pause } = setUp(() => Promise.reject(new Error('still full')))
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const pausing = pause()
    stop.abort()
    await pausing
    expect(log).not.toContain('resume')
    // The next consumer is not paused: it has to find out for itself.
    expect(hold.kind).toBe('holding')
  })

  test('waits before the first probe', async () => {
    let probes = 0
    const { hold, world, stop, pause } = setUp(async () => {
      probes++
    })
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const pausing = pause()
    await turnOfTheLoop()
    expect(probes).toBe(0)
    stop.abort()
    await pausing
    expect(probes).toBe(0)
  })
})

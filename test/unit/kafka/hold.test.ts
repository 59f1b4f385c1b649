import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Hold, type HoldDependencies } from '../../../cache-service/kafka/hold.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'

const oom = redisError(new Error("OOM command not allowed when used memory > 'maxmemory'."))
const refused = redisError(new Error('connect ECONNREFUSED 127.0.0.1:6379'))

/** What it says and does, in words; a clock and dice that the test holds. */
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

describe('open', () => {
  test('is how it begins: nothing stands in the way', () => {
    const { hold, log } = setUp()
    expect(hold).toMatchObject({ isOpen: true, isPaused: false, reason: undefined })
    expect(log).toEqual([])
  })

  test('says nothing of chunks that become durable, and does not pause', async () => {
    const { hold, log, pause } = setUp()
    hold.succeeded()
    await pause()
    expect(hold.isOpen).toBe(true)
    expect(log).toEqual([])
  })
})

describe('holding', () => {
  test('begins with a failure, and says why', () => {
    const { hold, log } = setUp()
    hold.failed(3, oom)
    expect(hold).toMatchObject({
      isOpen: false,
      isPaused: false,
      reason: "redis OOM: OOM command not allowed when used memory > 'maxmemory'.",
    })
    expect(log).toEqual(['held 3 OOM 1'])
  })

  test('counts attempts over all partitions, and names the last failure', () => {
    const { hold, log } = setUp()
    hold.failed(3, oom)
    hold.failed(4, oom)
    hold.failed(3, refused)
    expect(log).toEqual(['held 3 OOM 1', 'held 4 OOM 2', 'held 3 CONNECTION 3'])
    expect(hold.reason).toBe('redis CONNECTION: connect ECONNREFUSED 127.0.0.1:6379')
  })

  test('ends with a chunk that becomes durable, and says how long it was', () => {
    const { hold, log, world } = setUp()
    hold.failed(0, oom)
    world.nowMs += 700
    hold.failed(0, oom)
    world.nowMs += 300
    hold.succeeded()
    expect(hold).toMatchObject({ isOpen: true, reason: undefined })
    expect(log.at(-1)).toBe('resumed after 1000')
  })

  test('that comes again begins anew', () => {
    const { hold, log } = setUp()
    hold.failed(0, oom)
    hold.failed(0, oom)
    hold.succeeded()
    hold.failed(0, oom)
    expect(log.at(-1)).toBe('held 0 OOM 1')
  })

  test('lasts too long for a handler from 8 s on', () => {
    const { hold, world } = setUp()
    const sinceMs = world.nowMs
    hold.failed(0, oom)
    world.nowMs += 7_999
    expect(hold.isTooLong(sinceMs)).toBe(false)
    world.nowMs += 1
    expect(hold.isTooLong(sinceMs)).toBe(true)
  })
})

describe('backing off', () => {
  test('is over at once when the process stops', async () => {
    const { hold, world, stop } = setUp()
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const waiting = hold.backOff(stop.signal)
    stop.abort()
    await waiting
  })

  test('takes 2 s at most within a handler, whose heartbeats must go on', async () => {
    const { hold, world, stop } = setUp()
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const startedAt = performance.now()
    await hold.backOff(stop.signal)
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })
})

describe('paused', () => {
  test('lasts until the probe succeeds; then consumption goes on, but nothing is open yet', async () => {
    const answers = [false, false, true]
    const probed: ServiceError[] = []
    const { hold, log, pause } = setUp(async (failure) => {
      probed.push(failure)
      if (answers.shift() !== true) throw new Error('still full')
    })
    hold.failed(0, oom)
    const pausing = pause()
    expect(hold).toMatchObject({
      isPaused: true,
      isOpen: false,
      reason: expect.stringContaining('redis OOM'),
    })
    await pausing
    expect(probed).toEqual([oom, oom, oom])
    expect(hold).toMatchObject({
      isPaused: false,
      isOpen: false,
      reason: expect.stringContaining('redis OOM'),
    })
    expect(log).toEqual([
      'held 0 OOM 1',
      "paused: redis OOM: OOM command not allowed when used memory > 'maxmemory'.",
      'pause',
      'resume',
    ])
  })

  test('is entered once, however many handlers ask for it', async () => {
    const { promise: answer, resolve: succeed } = Promise.withResolvers<void>()
    const { hold, log, pause } = setUp(() => answer)
    hold.failed(0, oom)
    const first = pause()
    await pause()
    expect(log.filter((line) => line === 'pause')).toHaveLength(1)
    expect(hold.isPaused).toBe(true)
    succeed()
    await first
    expect(log.filter((line) => line === 'resume')).toHaveLength(1)
  })

  test('is not ended by a chunk of another partition that was under way', async () => {
    const { promise: answer, resolve: succeed } = Promise.withResolvers<void>()
    const { hold, log, pause } = setUp(() => answer)
    hold.failed(0, oom)
    const pausing = pause()
    hold.succeeded()
    expect(hold.isPaused).toBe(true)
    succeed()
    await pausing
    expect(log).not.toContainEqual(expect.stringMatching(/^resumed/))
  })

  test('and failed again counts on: the backoff keeps growing', async () => {
    const answers = [false, true]
    const { hold, log, pause } = setUp(async () => {
      if (answers.shift() !== true) throw new Error('still full')
    })
    hold.failed(0, oom)
    await pause()
    hold.failed(0, oom)
    expect(log.at(-1)).toBe('held 0 OOM 3')
  })

  test('opens with the next chunk that becomes durable, and says how long all of it was', async () => {
    const { hold, log, world, pause } = setUp()
    hold.failed(0, oom)
    await pause()
    world.nowMs += 60_000
    hold.succeeded()
    expect(hold.isOpen).toBe(true)
    expect(log.at(-1)).toBe('resumed after 60000')
  })

  test('ends when the consumer is stopped, without resuming what is no longer there', async () => {
    const { hold, log, world, stop, pause } = setUp(() => Promise.reject(new Error('still full')))
    world.random = 0.999
    for (let i = 0; i < 20; i++) hold.failed(0, oom)
    const pausing = pause()
    stop.abort()
    await pausing
    expect(log).not.toContain('resume')
    // The next consumer has not been told to pause: it tries for itself.
    expect(hold).toMatchObject({ isPaused: false, isOpen: false })
  })

  test('asks no probe before it has waited', async () => {
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

import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createLoop, LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { readiness } from '../../../cache-service/lifecycle/readiness.ts'
import { ReleaseStack } from '../../../cache-service/lifecycle/release-stack.ts'
import { OperatorError, runServices, type Service } from '../../../cache-service/lifecycle/service.ts'
import { aborted, settledWithin, sleep } from '../../../cache-service/lifecycle/sleep.ts'

const LONG_MS = 3_600_000

/** Runs until it is stopped, and then until `finish` is called. */
function serviceThatFinishes(name: string, log: string[]) {
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>()
  const service: Service = {
    name,
    async run(stop) {
      log.push(`${name} runs`)
      await aborted(stop)
      log.push(`${name} is stopping`)
      await finished
      log.push(`${name} has ended`)
    },
  }
  return { service, finish }
}

const failing = (name: string, error: unknown): Service => ({ name, run: () => Promise.reject(error) })

describe('runServices', () => {
  test('ends once it is stopped and every service has finished', async () => {
    const log: string[] = []
    const stop = new AbortController()
    const [a, b] = [serviceThatFinishes('a', log), serviceThatFinishes('b', log)]
    let hasEnded = false
    const running = runServices([a.service, b.service], stop.signal).then(() => (hasEnded = true))
    stop.abort()
    a.finish()
    await eventLoopTurn()
    expect(hasEnded).toBe(false)
    b.finish()
    await running
    expect(log).toEqual(['a runs', 'b runs', 'a is stopping', 'b is stopping', 'a has ended', 'b has ended'])
  })

  test('stops all services when one fails, and rejects with its error once they have ended', async () => {
    const log: string[] = []
    const { service, finish } = serviceThatFinishes('a', log)
    finish()
    const bug = new Error('a bug')
    await expect(runServices([service, failing('b', bug)], new AbortController().signal)).rejects.toBe(bug)
    expect(log).toEqual(['a runs', 'a is stopping', 'a has ended'])
  })

  test('rejects with the first failure, not with a consequent one', async () => {
    const first = new OperatorError('check REDIS_PASSWORD')
    const follower: Service = {
      name: 'follower',
      async run(stop) {
        await aborted(stop)
        throw new Error('failed while stopping')
      },
    }
    const running = runServices([follower, failing('leader', first)], new AbortController().signal)
    await expect(running).rejects.toBe(first)
  })

  test('treats a service that ends on its own as failed', async () => {
    const short: Service = { name: 'short', run: () => Promise.resolve() }
    await expect(runServices([short], new AbortController().signal)).rejects.toThrow(
      'short ended unexpectedly',
    )
  })

  test('rejects with a failure that happens while stopping', async () => {
    const stop = new AbortController()
    const bad: Service = {
      name: 'bad',
      async run(signal) {
        await aborted(signal)
        throw new Error('while stopping')
      },
    }
    const running = runServices([bad], stop.signal)
    stop.abort()
    await expect(running).rejects.toThrow('while stopping')
  })
})

describe('a release stack', () => {
  test('releases in reverse order, one after the other', async () => {
    const log: string[] = []
    const releases = new ReleaseStack()
    for (const name of ['first', 'second', 'third']) {
      releases.push(name, async () => {
        log.push(`${name} begins`)
        await eventLoopTurn()
        log.push(`${name} ends`)
      })
    }
    await releases.releaseAll()
    expect(log).toEqual([
      ...['third begins', 'third ends'],
      ...['second begins', 'second ends'],
      ...['first begins', 'first ends'],
    ])
  })

  test('continues after a failed release, and reports all failures at the end', async () => {
    const log: string[] = []
    const releases = new ReleaseStack()
    releases.push('Redis', () => void log.push('Redis'))
    releases.push('Kafka', () => {
      throw new Error('no connection')
    })
    releases.push('server', () => Promise.reject(new Error('still open')))
    const failure: unknown = await releases.releaseAll().catch((error: unknown) => error)
    expect(log).toEqual(['Redis'])
    expect(failure).toBeInstanceOf(AggregateError)
    expect(failure).toMatchObject({
      errors: [
        { message: 'releasing server failed', cause: { message: 'still open' } },
        { message: 'releasing Kafka failed', cause: { message: 'no connection' } },
      ],
    })
  })

  test('releases everything only once', async () => {
    let releasesDone = 0
    const releases = new ReleaseStack()
    releases.push('it', () => void releasesDone++)
    await releases.releaseAll()
    await releases.releaseAll()
    expect(releasesDone).toBe(1)
  })
})

describe('a loop', () => {
  function loopOf(
    turn: (stop: AbortSignal) => Promise<void>,
    failed: (error: unknown) => void = () => undefined,
  ) {
    const monitor = new LoopMonitor(() => 0)
    return createLoop({ name: 'loop', everyMs: 0, monitor, turn, failed })
  }

  test('runs immediately and repeatedly until it is stopped', async () => {
    const stop = new AbortController()
    let turns = 0
    await loopOf(async () => {
      turns++
      if (turns === 3) stop.abort()
    }).run(stop.signal)
    expect(turns).toBe(3)
  })

  test('continues after a failed turn', async () => {
    const stop = new AbortController()
    const failures: unknown[] = []
    let turns = 0
    const loop = loopOf(
      async () => {
        turns++
        if (turns === 3) stop.abort()
        else throw new Error(`turn ${turns}`)
      },
      (error) => failures.push(error),
    )
    await loop.run(stop.signal)
    expect(failures).toMatchObject([{ message: 'turn 1' }, { message: 'turn 2' }])
  })

  test('never runs two turns concurrently', async () => {
    const stop = new AbortController()
    let [current, most, turns] = [0, 0, 0]
    await loopOf(async () => {
      most = Math.max(most, ++current)
      await eventLoopTurn()
      current--
      if (++turns === 5) stop.abort()
    }).run(stop.signal)
    expect(most).toBe(1)
  })

  test('ends some seconds after it was stopped, although its turn does not end', async () => {
    const stop = new AbortController()
    const loop = loopOf(async () => {
      stop.abort()
      await new Promise(() => undefined)
    })
    await expect(loop.run(stop.signal)).resolves.toBeUndefined()
  })

  test('does not report a turn that failed because the loop was stopped', async () => {
    const stop = new AbortController()
    const failures: unknown[] = []
    const loop = loopOf(
      async (signal) => {
        stop.abort()
        signal.throwIfAborted()
      },
      (error) => failures.push(error),
    )
    await loop.run(stop.signal)
    expect(failures).toEqual([])
  })

  test('rejects if `failed` throws, so that an OperatorError can end the process', async () => {
    const refused = new OperatorError('check REDIS_PASSWORD')
    const loop = loopOf(
      () => Promise.reject(new Error('WRONGPASS')),
      () => {
        throw refused
      },
    )
    await expect(loop.run(new AbortController().signal)).rejects.toBe(refused)
  })

  test('does not start if it is already stopped, and is stopped while it waits', async () => {
    const stop = new AbortController()
    let turns = 0
    const monitor = new LoopMonitor(() => 0)
    const turn = async () => {
      turns++
    }
    const slow = createLoop({ name: 'slow', everyMs: LONG_MS, monitor, turn, failed: () => undefined })
    const running = slow.run(stop.signal)
    stop.abort()
    await running
    await slow.run(stop.signal)
    expect(turns).toBe(1)
  })

  test('can start with a delay, and is monitored from the beginning', async () => {
    const stop = new AbortController()
    let nowMs = 0
    const monitor = new LoopMonitor(() => nowMs)
    let turns = 0
    const turn = async () => {
      turns++
    }
    const options = {
      name: 'late',
      everyMs: 1,
      firstAfterMs: LONG_MS,
      monitor,
      turn,
      failed: () => undefined,
    }
    const running = createLoop(options).run(stop.signal)
    await eventLoopTurn()
    nowMs += LONG_MS
    expect(monitor.stuck()).toEqual([])
    nowMs += LONG_MS
    expect(monitor.stuck()).toEqual(['late'])
    stop.abort()
    await running
    expect(turns).toBe(0)
    expect(monitor.stuck()).toEqual([])
  })

  test('is monitored until it ends', async () => {
    const stop = new AbortController()
    let nowMs = 0
    const monitor = new LoopMonitor(() => nowMs)
    let stuckWhileTurning: string[] = []
    const turn = async () => {
      nowMs += LONG_MS
      stuckWhileTurning = monitor.stuck()
      stop.abort()
    }
    await createLoop({ name: 'loop', everyMs: 1, monitor, turn, failed: () => undefined }).run(stop.signal)
    expect(stuckWhileTurning).toEqual(['loop'])
    expect(monitor.stuck()).toEqual([])
  })
})

describe('a loop monitor', () => {
  test('reports a loop as stuck that has not turned for its interval plus one minute', () => {
    let nowMs = 1_000
    const monitor = new LoopMonitor(() => nowMs)
    monitor.turned('quick', 1_000)
    monitor.turned('slow', 300_000)
    nowMs += 61_000
    expect(monitor.stuck()).toEqual([])
    nowMs += 1
    expect(monitor.stuck()).toEqual(['quick'])
    monitor.turned('quick', 1_000)
    expect(monitor.stuck()).toEqual([])
    nowMs += 300_000
    expect(monitor.stuck()).toEqual(['quick', 'slow'])
    monitor.ended('quick')
    expect(monitor.stuck()).toEqual(['slow'])
  })
})

describe('sleep', () => {
  test('resolves as soon as the signal aborts', async () => {
    const stop = new AbortController()
    const sleeping = sleep(LONG_MS, stop.signal)
    stop.abort()
    await expect(sleeping).resolves.toBeUndefined()
  })

  test('resolves immediately if the signal has already aborted', async () => {
    await expect(sleep(LONG_MS, AbortSignal.abort())).resolves.toBeUndefined()
  })

  test('resolves after the given time', async () => {
    await expect(sleep(1, new AbortController().signal)).resolves.toBeUndefined()
  })
})

describe('aborted', () => {
  test('resolves when the signal aborts or has already aborted', async () => {
    const stop = new AbortController()
    let hasResolved = false
    const waiting = aborted(stop.signal).then(() => (hasResolved = true))
    await eventLoopTurn()
    expect(hasResolved).toBe(false)
    stop.abort()
    await waiting
    await aborted(stop.signal)
  })
})

describe('settledWithin', () => {
  test('resolves with true if the promise resolves or rejects in time', async () => {
    expect(await settledWithin(Promise.resolve(), LONG_MS)).toBe(true)
    expect(await settledWithin(Promise.reject(new Error('swallowed')), LONG_MS)).toBe(true)
  })

  test('resolves with false if the promise takes longer', async () => {
    const { promise, reject } = Promise.withResolvers<void>()
    expect(await settledWithin(promise, 1)).toBe(false)
    reject(new Error('too late to matter'))
  })
})

describe('readiness', () => {
  test('is true exactly if no check returns a reason', () => {
    expect(readiness([() => [], () => []])).toEqual({ ready: true, reasons: [] })
    expect(readiness([() => ['starting', 'lag: a'], () => [], () => ['lag: b']])).toEqual({
      ready: false,
      reasons: ['starting', 'lag: a', 'lag: b'],
    })
  })
})

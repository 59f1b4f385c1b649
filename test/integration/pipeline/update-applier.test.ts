import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { BEFORE_ALL } from '../../../cache-service/core/events/event-position.ts'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { UpdateApplier, UPDATER_LEASE_MS } from '../../../cache-service/pipeline/update-applier.ts'
import { createEventStreams } from '../../../cache-service/redis/events/event-streams.ts'
import { createStateWriter } from '../../../cache-service/redis/events/state-writer.ts'
import { createLease } from '../../../cache-service/redis/lease.ts'
import { UPDATER_LEASE_KEY } from '../../../shared/contract/keys.ts'
import { eventually } from '../../support/eventually.ts'
import { uniqueName, useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

// Two updaters on a real Redis. The test passes messages to them, and decides when each of them goes on.

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

describe('updates that the holder of the lease has missed', () => {
  test('that another updater sets later are followed by a gap', async () => {
    const [holder, other] = [openUpdater(), openUpdater()]
    await holder.start()
    await other.start()
    other.pause()
    holder.applier.subscriptionLost()
    other.receive('missed')
    holder.applier.subscribed()
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'subscription_lost']))
    // A client that reads the state now does not find the value yet.
    expect(await database.client.exists('missed')).toBe(0)
    other.resume()
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'subscription_lost', 'set_late']))
    expect(await database.client.exists('missed')).toBe(1)
  })

  test('that another updater has set before are followed by the gap of the holder, and by no other', async () => {
    const [holder, other] = [openUpdater(), openUpdater()]
    await holder.start()
    await other.start()
    holder.applier.subscriptionLost()
    other.receive('missed')
    await eventually(async () => expect(await database.client.exists('missed')).toBe(1))
    holder.applier.subscribed()
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'subscription_lost']))
    await other.keepsStanding()
    for (const updater of [holder, other]) updater.receive('next')
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'subscription_lost', 'next']))
    await other.settled()
    expect(await seen()).toEqual(['takeover', 'subscription_lost', 'next'])
  })

  test('are followed by the gap, which stands behind the updates that were received before the loss', async () => {
    const holder = openUpdater()
    await holder.start()
    holder.pause()
    for (const type of ['a', 'b', 'c']) holder.receive(type)
    holder.applier.subscriptionLost()
    holder.receive('d') // received before the loss was noticed
    holder.applier.subscribed()
    holder.receive('e')
    holder.resume()
    await eventually(async () =>
      expect(await seen()).toEqual(['takeover', 'a', 'b', 'c', 'd', 'subscription_lost', 'e']),
    )
  })

  test('during a second loss get a gap of their own, though the first gap is being appended', async () => {
    const holder = openUpdater()
    await holder.start()
    holder.pause()
    holder.applier.subscriptionLost()
    holder.applier.subscribed()
    holder.receive('a')
    holder.applier.subscriptionLost()
    holder.applier.subscribed()
    holder.receive('b')
    holder.resume()
    await eventually(async () =>
      expect(await seen()).toEqual(['takeover', 'subscription_lost', 'a', 'subscription_lost', 'b']),
    )
  })

  test('that are set by a third updater behind the gap of a takeover are followed by a gap', async () => {
    const [holder, next, slow] = [openUpdater(), openUpdater(), openUpdater()]
    for (const updater of [holder, next, slow]) await updater.start()
    slow.pause()
    slow.receive('missed')
    await holder.applier.close()
    next.applier.subscribed()
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'takeover']))
    slow.resume()
    await eventually(async () => expect(await seen()).toEqual(['takeover', 'takeover', 'set_late']))
  })
})

function openUpdater() {
  const name = uniqueName('updater')
  const redis = database.client
  const writer = createStateWriter(redis, name, 5_000)
  let gate: Promise<void> = Promise.resolve()
  let open = () => undefined as void
  let asked = 0
  let settling: Promise<unknown> = Promise.resolve()
  const ignore = () => undefined
  const applier = new UpdateApplier({
    writer: {
      ...writer,
      async write(...args) {
        await gate
        return await writer.write(...args)
      },
      async standing() {
        await gate
        asked++
        return await writer.standing()
      },
    },
    lease: createLease(redis, UPDATER_LEASE_KEY, name, UPDATER_LEASE_MS),
    isSubscribed: () => true,
    // The test passes messages on at once.
    receivedAll: () => {
      const all = Promise.resolve()
      settling = all
      return all
    },
    isProtected: () => false,
    validate: false,
    telemetry: {
      notJson: ignore,
      invalidUpdate: ignore,
      protectedUpdate: ignore,
      updateApplied: ignore,
      updateValidated: ignore,
      updateMismatched: ignore,
      updateFailed: ignore,
      updateDropped: ignore,
      eventRefused: ignore,
      leaseTaken: ignore,
      leaseLost: ignore,
      gapAppended: ignore,
      loopFailed: ignore,
    },
    monitor: new LoopMonitor(() => 0),
  })
  onTestFinished(async () => {
    open()
    await applier.close()
  })
  const keepsStanding = async () => {
    const before = asked
    applier.subscribed()
    await eventually(() => expect(asked).toBeGreaterThan(before))
  }
  return {
    applier,
    receive: (type: string) => applier.received(Buffer.from(JSON.stringify({ type, values: [1] }))),
    /** It receives messages, but sends nothing to Redis. */
    pause() {
      gate = new Promise((resolve) => (open = resolve))
    },
    resume: () => open(),
    /** It has looked at the lease. */
    keepsStanding,
    async start() {
      await keepsStanding()
      await settling
      await eventually(async () => expect(await redis.exists(UPDATER_LEASE_KEY)).toBe(1))
    },
    /** It has done whatever follows from the last message. */
    async settled() {
      await settling
      await keepsStanding()
    },
  }
}

/** What clients of the stream see: types, and reasons of gaps. */
async function seen(): Promise<string[]> {
  const page = await createEventStreams(database.client).read('update', BEFORE_ALL, '+', 5_000)
  return (page?.entries ?? []).map((entry) => {
    if (entry.kind === 'gap') return entry.reason
    return entry.kind === 'update' ? entry.type : entry.kind
  })
}

import { beforeAll, afterAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { createEventStreams } from '../../../cache-service/redis/events/event-streams.ts'
import { createStateStore } from '../../../cache-service/redis/events/state-store.ts'
import { BEFORE_ALL } from '../../../cache-service/core/events/event-position.ts'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { UPDATE_TYPES_KEY, UPDATER_LEASE_KEY } from '../../../shared/contract/keys.ts'
import { eventually, patiently } from '../../support/eventually.ts'
import { startRole, type RoleRun } from '../../support/processes/role-run.ts'
import { uniqueName, useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

let database: RedisDatabase
let channel: string

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
  channel = uniqueName('update')
})

describe('one kv-updater', () => {
  test('stores the value without its type under the type as key, and records the type', async () => {
    const updater = await startUpdater()
    await publish({ type: 'inventory', updated: 1749407237.5, valid: true, values: [{ id: 1 }] })
    await eventually(async () => {
      expect(await database.client.get('inventory')).toBe(
        '{"updated":1749407237.5,"valid":true,"values":[{"id":1}]}',
      )
    })
    expect(await database.client.ttl('inventory')).toBe(-1)
    expect(await database.client.smembers(UPDATE_TYPES_KEY)).toEqual(['inventory'])
    await eventually(() => {
      expect(updater.lines()).toContainEqual(expect.objectContaining({ level: 'debug', type: 'inventory' }))
      expect(updater.lines()).toContainEqual(expect.objectContaining({ level: 'info', type: 'inventory' }))
    })
    expect(await updater.metric('updates_total', { result: 'applied' })).toBe(1)
  })

  test('stores null for absent fields, and reads the NaN that Python writes as null', async () => {
    await startUpdater()
    await database.client.publish(channel, '{"type": "readings", "values": [1.5, NaN], "more": 1}')
    await eventually(async () => {
      expect(await database.client.get('readings')).toBe('{"updated":null,"valid":null,"values":[1.5,null]}')
    })
  })

  test('warns about a message without a type or values, writes nothing, and continues', async () => {
    const updater = await startUpdater()
    const invalid = [
      { values: [1] },
      { type: '', values: [1] },
      { type: 7, values: [1] },
      { type: 'empty' },
      { type: 'empty', values: [] },
      { type: 'empty', values: {} },
      { type: 'empty', values: null },
      { type: 'empty', values: '' },
      ['type'],
      null,
    ]
    for (const message of invalid) await publish(message)
    await publish({ type: 'last', values: 'x' })
    await eventually(async () => expect(await database.client.exists('last')).toBe(1))
    expect(await database.client.exists('empty', '', '7')).toBe(0)
    expect(await updater.metric('updates_total', { result: 'invalid' })).toBe(invalid.length)
    expect(updater.lines().filter(({ level }) => level === 'warn')).toHaveLength(invalid.length)
  })

  test('logs an error for a message that is not JSON without quoting it, and continues', async () => {
    const updater = await startUpdater()
    await database.client.publish(channel, 'secret-token')
    await database.client.publish(channel, Buffer.from([0xff, 0xfe]))
    await publish({ type: 'last', values: 'x' })
    await eventually(async () => expect(await updater.metric('updates_total', { result: 'applied' })).toBe(1))
    expect(await updater.metric('updates_total', { result: 'not_json' })).toBe(2)
    expect(updater.lines().filter(({ level }) => level === 'error')).toHaveLength(2)
    expect(JSON.stringify(updater.lines())).not.toContain('secret-token')
  })

  test('rejects a type that is a platform key, or that has a protected prefix', async () => {
    const updater = await startUpdater({ CACHE_PROTECTED_PREFIXES: 'session:' })
    const types = ['devices', 'device:a:metadata', 'cache_service:{events}:lease', 'session:1']
    for (const type of types) await publish({ type, values: [1] })
    await publish({ type: 'last', values: 'x' })
    await eventually(async () => expect(await database.client.exists('last')).toBe(1))
    expect(await database.client.exists('devices', 'device:a:metadata', 'session:1')).toBe(0)
    expect(await database.client.get(UPDATER_LEASE_KEY)).toBe(updater.processId)
    expect(await updater.metric('updates_total', { result: 'protected' })).toBe(types.length)
    expect(updater.lines().filter(({ level }) => level === 'warn')).toHaveLength(types.length)
  })

  test('replaces a key of another Redis type', async () => {
    await startUpdater()
    await database.client.hset('inventory', 'a', 'b')
    await publish({ type: 'inventory', values: [1] })
    await eventually(async () => expect(await database.client.type('inventory')).toBe('string'))
  })

  test('applies a burst in the order of publication, with each update once in the stream', async () => {
    await startUpdater()
    const pipeline = database.client.pipeline()
    for (let n = 0; n < 1_500; n++) {
      pipeline.publish(channel, JSON.stringify({ type: `type-${n % 3}`, values: [n] }))
    }
    await pipeline.exec()
    await patiently(async () => expect(await streamed()).toHaveLength(1_501))
    const [first, ...updates] = await streamed()
    expect(first).toMatchObject({ kind: 'gap', reason: 'takeover' })
    expect(updates.map(valueOf)).toEqual(Array.from({ length: 1_500 }, (_, n) => n))
    expect(await database.client.get('type-2')).toContain('[1499]')
  })

  test('omits values that are too large from the stream, but not from Redis', async () => {
    await startUpdater()
    await publish({ type: 'large', updated: 5, values: 'x'.repeat(100_000) })
    await eventually(async () => expect(await database.client.strlen('large')).toBeGreaterThan(100_000))
    const entries = await streamed()
    expect(entries.at(-1)).toMatchObject({
      kind: 'update',
      type: 'large',
      json: '{"type":"large","updated":5,"valid":null,"too_large":true}',
    })
  })

  test('does not read values back without UPDATE_VALIDATE', async () => {
    const updater = await startUpdater({ UPDATE_VALIDATE: 'false' })
    await publish({ type: 'inventory', values: [1] })
    await eventually(() => expect(updater.lines().map(({ msg }) => msg)).toContain('update applied'))
    expect(updater.lines().some(({ msg }) => msg.startsWith('validated'))).toBe(false)
  })

  test('logs its start and its end, is ready while subscribed, and releases the lease', async () => {
    const updater = await startUpdater()
    await updater.stop()
    const messages = updater.lines().filter(({ level }) => level === 'info')
    expect(messages.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(['started', 'kv-updater started', 'kv-updater stopped']),
    )
    expect(messages.at(-1)?.msg).toBe('stopped')
    expect(await database.client.exists(UPDATER_LEASE_KEY)).toBe(0)
    expect(updater.lines().filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  })

  test('applies what it has received before it stops', async () => {
    const updater = await startUpdater()
    for (let n = 0; n < 300; n++) void publish({ type: 'inventory', values: [n] })
    await eventually(async () => expect(await database.client.exists('inventory')).toBe(1), { everyMs: 1 })
    await updater.stop()
    const entries = await streamed()
    expect(await database.client.get('inventory')).toContain(`[${valueOf(entries.at(-1))}]`)
    expect(await database.client.exists(UPDATER_LEASE_KEY)).toBe(0)
  })
})

describe('two kv-updaters', () => {
  test('append each update to the stream once and in order', async () => {
    const updaters = [await startUpdater(), await startUpdater()]
    for (let n = 0; n < 400; n++) await publish({ type: 'inventory', values: [n] })
    await eventually(async () => {
      for (const updater of updaters) {
        expect(await updater.metric('updates_total', { result: 'applied' })).toBe(400)
      }
    })
    const entries = await streamedInTime()
    expect(entries.filter(({ kind }) => kind === 'gap')).toHaveLength(1)
    expect(entries.slice(1).map(valueOf)).toEqual(Array.from({ length: 400 }, (_, n) => n))
  })

  test('hand over when the one that appends stops: the other appends a gap and continues', async () => {
    const first = await startUpdater()
    const second = await startUpdater()
    await publish({ type: 'inventory', values: [1] })
    await eventually(async () =>
      expect((await streamedInTime()).map(({ kind }) => kind)).toEqual(['gap', 'update']),
    )
    await first.stop()
    await eventually(async () => {
      expect(await database.client.get(UPDATER_LEASE_KEY)).toBe(second.processId)
      expect((await streamedInTime()).map(({ kind }) => kind)).toEqual(['gap', 'update', 'gap'])
    })
    await publish({ type: 'inventory', values: [2] })
    await eventually(async () =>
      expect((await streamedInTime()).map(valueOf)).toEqual([undefined, 1, undefined, 2]),
    )
  })

  test('stop appending when their lease has expired, and append a gap when they hold it again', async () => {
    await startUpdater()
    await eventually(async () => expect(await streamed()).toHaveLength(1))
    await database.client.set(UPDATER_LEASE_KEY, 'another process', 'PX', 4_000)
    await publish({ type: 'inventory', values: [1] })
    await eventually(async () => expect(await database.client.exists('inventory')).toBe(1))
    // Its value is set behind the last gap of the holder, as far as it can know.
    const reasons = async () =>
      (await streamed()).map((entry) => (entry.kind === 'gap' ? entry.reason : entry.kind))
    await eventually(async () => expect(await reasons()).toEqual(['takeover', 'set_late', 'takeover']))
    expect(await database.client.get('inventory')).toContain('[1]')
  })
})

describe('a client that reads the values again at every gap', () => {
  test('misses no update when the holder of the lease loses its subscription in the middle of bursts', async () => {
    const updaters = [await startUpdater(), await startUpdater()]
    const client = followUpdates()
    const total = 1_500
    for (let n = 0; n < total; n += 50) {
      const burst = database.client.pipeline()
      for (let i = n; i < n + 50; i++)
        burst.publish(channel, JSON.stringify({ type: `type-${i}`, values: [i] }))
      // Between two bursts: the first messages of the next one are missed.
      if (n % 300 === 150) await killSubscriberOfHolder()
      await burst.exec()
    }
    await eventually(async () => expect(await database.client.scard(UPDATE_TYPES_KEY)).toBe(total), {
      timeoutMs: 40_000,
    })
    await eventually(() => expect(client.types.size).toBe(total))
    for (const updater of updaters)
      expect(await updater.metric('updates_total', { result: 'failed' })).toBe(0)
    const lost = await Promise.all(updaters.map((updater) => updater.metric('pubsub_gaps_total')))
    expect(lost.reduce((sum: number, count) => sum + (count ?? 0), 0)).toBeGreaterThan(0)
  })
})

/** Follows the stream as a client does. `types`: those whose value it knows. */
function followUpdates(): { readonly types: ReadonlySet<string> } {
  const types = new Set<string>()
  const streams = createEventStreams(database.client)
  const state = createStateStore(database.client, [])
  const stop = new AbortController()
  const following = (async () => {
    let position = BEFORE_ALL
    while (!stop.signal.aborted) {
      const page = await streams.read('update', position, '+', 100)
      if (page === undefined) throw new Error('the stream was trimmed')
      for (const entry of page.entries) {
        if (entry.kind === 'update') types.add(entry.type)
        if (entry.kind === 'gap')
          for (const type of (await state.read(undefined)).values.keys()) types.add(type)
      }
      position = page.next
    }
  })()
  onTestFinished(async () => {
    stop.abort()
    await following
  })
  return { types }
}

/** As soon as there is one: it may be reconnecting. */
async function killSubscriberOfHolder(): Promise<void> {
  await eventually(
    async () => {
      const holder = await database.client.get(UPDATER_LEASE_KEY)
      const clients = String(await database.client.client('LIST', 'TYPE', 'PUBSUB')).split('\n')
      const found = clients.find((line) => line.includes(` name=${holder}-subscriber `))
      const id = /^id=(\d+)/.exec(found ?? '')?.[1]
      expect(id).toBeDefined()
      expect(await database.client.client('KILL', 'ID', Number(id))).toBe(1)
    },
    { everyMs: 5 },
  )
}

async function startUpdater(env: Readonly<Record<string, string>> = {}): Promise<RoleRun> {
  const updater = await startRole(openKvUpdater, {
    REDIS_URL: database.url,
    REDIS_UPDATE_CHANNEL: channel,
    ...env,
  })
  onTestFinished(() => updater.stop().catch(() => undefined))
  await eventually(async () => expect(await updater.isReady()).toBe(true))
  await eventually(() =>
    expect(
      updater.lines().some(({ msg }) => msg.includes('event stream') || msg.includes('subscribed')),
    ).toBe(true),
  )
  // The lease is held: what is published from now on is appended.
  await eventually(async () => expect(await database.client.exists(UPDATER_LEASE_KEY)).toBe(1))
  return updater
}

async function publish(message: unknown): Promise<void> {
  await database.client.publish(channel, JSON.stringify(message))
}

async function streamed() {
  const page = await createEventStreams(database.client).read('update', BEFORE_ALL, '+', 5_000)
  return page?.entries ?? []
}

/**
 * Without the gaps of a value that was set late: a second kv-updater that has just begun appends one if it sets a value before it knows
 * of the gap of the first.
 */
async function streamedInTime() {
  return (await streamed()).filter((entry) => entry.kind !== 'gap' || entry.reason !== 'set_late')
}

function valueOf(entry: Awaited<ReturnType<typeof streamed>>[number] | undefined): number | undefined {
  if (entry?.kind !== 'update') return undefined
  const { values }: { values: number[] } = JSON.parse(entry.json)
  return values[0]
}

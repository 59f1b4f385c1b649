import type { Cluster } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  createProgressStore,
  progressKeys,
  requestRebuild,
} from '../../../../cache-service/redis/workers/group-progress.ts'
import type { ProgressStore } from '../../../../cache-service/redis/workers/progress-store.ts'
import { SlotTable } from '../../../../cache-service/redis/cluster/slots.ts'
import { patiently } from '../../../support/eventually.ts'
import { connectToCluster } from '../../../support/servers/redis-connection.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
} from '../../../support/servers/redis-cluster.ts'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'

let servers: RedisCluster
let cluster: Cluster
let store: ProgressStore

beforeAll(async () => {
  servers = await startRedisCluster({ masters: 3 })
})
beforeEach(async () => {
  await Promise.all((await servers.masters()).map(({ admin }) => admin.flushall()))
  cluster = (await connectToCluster(servers)).redis
  store = createProgressStore(cluster, 'g', 't')
})
afterAll(() => servers.stop())

async function stored(of: ProgressStore = store) {
  return (await of.load([0])).get(0)
}

const nameOf = ({ host, port }: ClusterNode) => `${host}:${port}`

/** Another process. */
const fresh = () => createProgressStore(cluster, 'g', 't')

/** Moves slots, and waits until our client knows it. */
async function move(from: ClusterNode, to: ClusterNode, slots: Parameters<RedisCluster['moveSlots']>[2]) {
  const before = SlotTable.of(cluster).owners
  await servers.moveSlots(from, to, slots)
  await patiently(() => Promise.resolve(expect(SlotTable.of(cluster).owners).not.toBe(before)))
  const view = await Promise.all((await servers.masters()).map(async (one) => one.port))
  await patiently(() =>
    Promise.resolve(expect(SlotTable.of(cluster).owners.slotsByMaster.size).toBe(view.length)),
  )
}

async function twoMasters(): Promise<[ClusterNode, ClusterNode]> {
  const [one, other] = await servers.masters()
  if (one === undefined || other === undefined) throw new Error('no masters')
  return [one, other]
}

/** A slot of the master that holds no copy. */
function slotWithoutCopy(master: ClusterNode): { from: number; to: number } {
  const slots = SlotTable.of(cluster).owners.slotsByMaster.get(nameOf(master)) ?? []
  const copies = new Set(progressKeys(cluster, 'g', 't').map(keySlot))
  const found = slots.find((slot) => !copies.has(slot))
  if (found === undefined) throw new Error('every slot holds a copy')
  return { from: found, to: found }
}

describe('the copies of the progress', () => {
  test('are on every master, and advance together', async () => {
    await store.overwrite(0, undefined, 5)
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    const keys = progressKeys(cluster, 'g', 't')
    const masters = await Promise.all(keys.map(async (key) => (await servers.ownerOf(key)).port))
    expect(new Set(masters).size).toBe(3)
    expect(await Promise.all(keys.map((key) => cluster.hget(key, '0')))).toEqual(['9', '9', '9'])
    expect(await stored(fresh())).toMatchObject({ next: 9, isWhole: true })
  })

  test('of a wiped master count as none, for the process that wrote them and for another', async () => {
    await store.overwrite(0, undefined, 5)
    const [one] = await twoMasters()
    await one.admin.flushall()
    expect(await stored()).toMatchObject({ next: undefined })
    expect(await stored(fresh())).toMatchObject({ next: undefined })
    expect(await store.advance(0, 5, 9)).toEqual({ next: undefined })
    await store.overwrite(0, undefined, 2)
    expect(await store.advance(0, 2, 4)).toBeUndefined()
  })

  test('that fall behind on one master are behind', async () => {
    await store.overwrite(0, undefined, 5)
    await store.advance(0, 5, 9)
    const [key = ''] = progressKeys(cluster, 'g', 't')
    await cluster.hset(key, '0', '5')
    expect(await store.advance(0, 9, 12)).toEqual({ next: 5 })
    expect(await stored()).toMatchObject({ next: 5, isWhole: true })
  })

  test('that a dead worker advanced on some masters only are caught up with', async () => {
    await store.overwrite(0, undefined, 5)
    const [key = ''] = progressKeys(cluster, 'g', 't')
    await cluster.hset(key, '0', '9')
    const successor = fresh()
    expect(await stored(successor)).toMatchObject({ next: 5, isWhole: true })
    expect(await successor.advance(0, 5, 7)).toBeUndefined()
    expect(await successor.advance(0, 7, 12)).toBeUndefined()
    expect(await stored(fresh())).toMatchObject({ next: 12, isWhole: true })
  })

  test('are written by another worker meanwhile', async () => {
    await store.overwrite(0, undefined, 5)
    const other = fresh()
    await stored(other)
    expect(await other.advance(0, 5, 8)).toBeUndefined()
    expect(await store.advance(0, 5, 7)).toEqual({ next: 8 })
    expect(await store.advance(0, 8, 9)).toBeUndefined()
  })

  test('are overwritten only if they are what was compared', async () => {
    await store.overwrite(0, undefined, 5)
    await expect(store.overwrite(0, undefined, 2)).rejects.toMatchObject({ code: 'TRYAGAIN' })
    expect(await stored(fresh())).toMatchObject({ next: 5, isWhole: true })
    await store.overwrite(0, 5, 2)
    expect(await stored(fresh())).toMatchObject({ next: 2, isWhole: true })
  })

  test('are replaced although one of them is damaged', async () => {
    await store.overwrite(0, undefined, 5)
    const [key = ''] = progressKeys(cluster, 'g', 't')
    await cluster.hset(key, '0', 'x')
    expect(await stored()).toMatchObject({ next: undefined })
    await store.overwrite(0, undefined, 4)
    expect(await stored(fresh())).toMatchObject({ next: 4, isWhole: true })
  })

  test('carry the mark of a rebuild, and a request for one', async () => {
    await store.overwrite(0, undefined, 5)
    await store.markRebuild(0, 20)
    expect(await stored()).toMatchObject({ next: 5, rebuildUntil: 20, isRebuildRequested: false })
    await store.markRebuild(0, undefined)
    await requestRebuild(cluster, 'g', 't', [0, 1])
    expect(await stored()).toMatchObject({ next: undefined, isRebuildRequested: true })
    await store.overwrite(0, undefined, 0)
    expect(await stored()).toMatchObject({ next: 0, rebuildUntil: undefined, isRebuildRequested: false })
  })
})

describe('who only looks at the copies of another process', () => {
  test('writes none when slots move, and so does not make it lose its own', async () => {
    await store.overwrite(0, undefined, 5)
    const other = await connectToCluster(servers)
    const watcher = createProgressStore(other.redis, 'g', 't')
    expect((await watcher.peek([0])).get(0)).toMatchObject({ next: 5, isWhole: true })
    await store.advance(0, 5, 7)
    // The watcher learns of the move before the worker does.
    cluster.removeAllListeners('refresh')
    const before = SlotTable.of(other.redis).owners
    const [one, another] = await twoMasters()
    await servers.moveSlots(one, another, [slotWithoutCopy(one)])
    await patiently(() => Promise.resolve(expect(SlotTable.of(other.redis).owners).not.toBe(before)))
    expect((await watcher.peek([0])).get(0)).toMatchObject({ next: 7 })
    expect(await store.advance(0, 7, 9)).toBeUndefined()
  })
})

describe('when slots move', () => {
  test('the copies follow, also when the slot of a copy moves away and back', async () => {
    await store.overwrite(0, undefined, 5)
    await store.markRebuild(0, 20)
    const [one, other] = await twoMasters()
    const [key = ''] = progressKeys(cluster, 'g', 't')
    const slot = keySlot(key)
    const from = (await servers.ownerOf(key)) === one ? one : other
    const to = from === one ? other : one
    await move(from, to, [{ from: slot, to: slot }])
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    expect(await stored(fresh())).toMatchObject({ next: 9, isWhole: true })
    await move(to, from, [{ from: slot, to: slot }])
    expect(await store.advance(0, 9, 12)).toBeUndefined()
    expect(await stored(fresh())).toMatchObject({ next: 12, isWhole: true })
    const marks = progressKeys(cluster, 'g', 't').map((copy) => cluster.hget(copy, '0:until'))
    expect(await Promise.all(marks)).toEqual(['20', '20', '20'])
  })

  test('a look is repeated if the copies are written meanwhile, for other owners', async () => {
    await store.overwrite(0, undefined, 5)
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const hmget = cluster.hmget.bind(cluster)
    cluster.hmget = (async (key: string, ...fields: string[]) => {
      await released
      return await hmget(key, ...fields)
    }) as typeof cluster.hmget
    const looking = stored()
    cluster.hmget = hmget
    const [one, other] = await twoMasters()
    await move(one, other, [slotWithoutCopy(one)])
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    release()
    expect(await looking).toMatchObject({ next: 9 })
  })

  test('a copy that is further than the others is not set back', async () => {
    await store.overwrite(0, undefined, 5)
    const [key = ''] = progressKeys(cluster, 'g', 't')
    await cluster.hset(key, '0', '9')
    const [one, other] = await twoMasters()
    await move(one, other, [slotWithoutCopy(one)])
    expect(await store.advance(0, 5, 7)).toBeUndefined()
    expect(await cluster.hget(key, '0')).toBe('9')
  })

  test('a copy is written by the master that is known to own its slot, or not at all', async () => {
    await store.overwrite(0, undefined, 5)
    const [key = ''] = progressKeys(cluster, 'g', 't')
    const from = await servers.ownerOf(key)
    const to = (await servers.masters()).find((master) => master !== from)
    if (to === undefined) throw new Error('no other master')
    // The table of slots is not read again.
    cluster.removeAllListeners('refresh')
    await servers.moveSlots(from, to, [{ from: keySlot(key), to: keySlot(key) }])
    await expect(store.advance(0, 5, 9)).rejects.toMatchObject({ code: 'TRYAGAIN' })
    expect(await cluster.hget(key, '0')).toBe('5')
  })

  test('while no record comes, a look is enough', async () => {
    await store.overwrite(0, undefined, 5)
    const [one, other] = await twoMasters()
    await move(one, other, 10)
    expect(await stored()).toMatchObject({ next: 5 })
    expect(await stored(fresh())).toMatchObject({ next: 5, isWhole: true })
  })

  test('a process that has begun after a reshard takes the next one for no loss', async () => {
    await store.overwrite(0, undefined, 5)
    const [one, other] = await twoMasters()
    const slots = SlotTable.of(cluster).owners.slotsByMaster.get(nameOf(one)) ?? []
    const copies = new Set(progressKeys(cluster, 'g', 't').map(keySlot))
    const [first = 0, next = 0] = slots.filter((slot) => !copies.has(slot))
    await move(one, other, [{ from: first, to: first }])
    const second = fresh()
    expect(await stored(second)).toMatchObject({ next: 5, isWhole: false })
    expect(await second.advance(0, 5, 9)).toBeUndefined()
    await move(one, other, [{ from: next, to: next }])
    expect(await stored(second)).toMatchObject({ next: 9 })
  })

  test('a master that got slots and then falls behind has lost what was in them: everything is read again', async () => {
    await store.overwrite(0, undefined, 5)
    const [one, other] = await twoMasters()
    await move(one, other, 10)
    const before = await Promise.all(
      progressKeys(cluster, 'g', 't').map(async (key) => [key, await cluster.hgetall(key)] as const),
    )
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    // The state before the worker had seen the change, as on a replica that lagged.
    const mine = await Promise.all(before.map(async ([key]) => (await servers.ownerOf(key)) === other))
    const [key, fields] = before[mine.indexOf(true)] ?? ['', {}]
    await cluster.del(key)
    await cluster.hset(key, fields)
    expect(await stored()).toMatchObject({ next: undefined })
    expect(await stored(fresh())).toMatchObject({ next: 5, isWhole: false })
  })

  test('a process that had the partition long before does not hide that', async () => {
    const earlier = fresh()
    await store.overwrite(0, undefined, 5)
    expect(await stored(earlier)).toMatchObject({ next: 5 })
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    const [one, other] = await twoMasters()
    const keys = progressKeys(cluster, 'g', 't')
    const copies = await Promise.all(keys.map(async (key) => [key, await cluster.hgetall(key)] as const))
    expect(await store.advance(0, 9, 12)).toBeUndefined()
    await move(one, other, [slotWithoutCopy(one)])
    const mine = await Promise.all(keys.map(async (key) => (await servers.ownerOf(key)) === other))
    const [key, fields] = copies[mine.indexOf(true)] ?? ['', {}]
    await cluster.del(key)
    await cluster.hset(key, fields)
    expect(await stored(earlier)).toMatchObject({ next: 9, isWhole: false })
    expect(await stored(earlier)).toMatchObject({ next: 9, isWhole: false })
    expect(await stored(fresh())).toMatchObject({ next: 9, isWhole: false })
  })

  test('a master that is added gets a copy', async () => {
    await store.overwrite(0, undefined, 5)
    const [one] = await twoMasters()
    const added = await servers.addNode()
    await move(one, added, 10)
    expect(progressKeys(cluster, 'g', 't')).toHaveLength(4)
    expect(await store.advance(0, 5, 9)).toBeUndefined()
    expect(await stored(fresh())).toMatchObject({ next: 9, isWhole: true })
    await added.admin.flushall()
    expect(await store.advance(0, 9, 12)).toEqual({ next: undefined })
  })

  test('a master that gives all of its slots away after it has lost them has lost everything', async () => {
    const { slotsByMaster } = SlotTable.of(cluster).owners
    const one = (await servers.masters()).find(
      (master) => (slotsByMaster.get(nameOf(master)) ?? []).length > 100,
    )
    if (one === undefined) throw new Error('no master has many slots')
    const added = await servers.addNode()
    await move(one, added, 10)
    await store.overwrite(0, undefined, 5)
    await added.admin.flushall()
    // Without slots it would become a replica.
    await added.admin.config('SET', 'cluster-allow-replica-migration', 'no')
    await servers.moveSlots(added, one, 10)
    await patiently(() =>
      Promise.resolve(expect(SlotTable.of(cluster).owners.slotsByMaster.has(nameOf(added))).toBe(false)),
    )
    expect(await stored()).toMatchObject({ next: undefined })
  })
})

import { describe, expect, test } from 'vitest'
import type { KvUpdate } from '../../../cache-service/core/events/kv-update.ts'
import type { GapReason } from '../../../cache-service/core/events/stream-entry.ts'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { UpdateApplier } from '../../../cache-service/pipeline/update-applier.ts'
import type { StateWritten } from '../../../cache-service/redis/events/state-writer.ts'
import { eventually } from '../../support/eventually.ts'

// Cases that a real Redis cannot be made to produce: a wrong value, or a failure at a certain moment.

describe('the update applier', () => {
  test('reports a different value that is read back as a mismatch, and counts nothing else', async () => {
    const { applier, happened } = openApplier(async () => ({ ...APPENDED, readBack: '{"values":[2]}' }))
    applier.received(message(1))
    await applier.close()
    expect(happened).toEqual(['mismatched x'])
  })

  test('accepts a value that is read back with other spaces or field order', async () => {
    const readBack = '{ "values": [1], "valid": null, "updated": null }'
    const { applier, happened } = openApplier(async () => ({ ...APPENDED, readBack }))
    applier.received(message(1))
    await applier.close()
    expect(happened).toEqual(['applied x', 'validated x'])
  })

  test('puts one gap before the next update after a failure', async () => {
    const gaps: (GapReason | undefined)[] = []
    const { applier, happened } = openApplier(async (update, gap) => {
      gaps.push(gap)
      if (gaps.length === 2) throw new Error('OOM command not allowed')
      return { ...APPENDED, readBack: update.value }
    })
    applier.subscribed()
    for (let n = 0; n < 4; n++) applier.received(message(n))
    await eventually(() => expect(gaps).toHaveLength(4))
    await applier.close()
    expect(gaps).toEqual([undefined, undefined, 'redis_failed', undefined])
    expect(happened.filter((what) => what.startsWith('failed') || what.startsWith('gap'))).toEqual([
      'gap takeover',
      'failed x',
      'gap redis_failed',
    ])
  })

  test('appends a gap when another server may have the stream: it may lack the last events', async () => {
    let isReplaced = false
    const { applier, happened } = openApplier(
      async (update) => ({ ...APPENDED, readBack: update.value }),
      undefined,
      () => isReplaced,
    )
    applier.subscribed()
    applier.received(message(1))
    applier.subscribed()
    await eventually(() => expect(happened).toContain('validated x'))
    isReplaced = true
    applier.subscribed()
    await eventually(() => expect(happened).toHaveLength(4))
    await applier.close()
    expect(happened).toEqual(['gap takeover', 'applied x', 'validated x', 'gap redis_failed'])
  })

  test('drops the updates that still wait if Redis fails while it closes', async () => {
    const { promise, reject } = Promise.withResolvers<StateWritten>()
    const { applier, happened } = openApplier(() => promise)
    for (let n = 0; n < 3; n++) applier.received(message(n))
    const closed = applier.close()
    reject(new Error('Connection is closed.'))
    await closed
    expect(happened).toEqual(['failed x', 'dropped', 'dropped'])
  })

  test('puts the gap of dropped updates behind all updates that were received before them', async () => {
    const begun = Promise.withResolvers<StateWritten>()
    const gapBefore: [n: number, gap: GapReason | undefined][] = []
    const { applier, happened } = openApplier(async (update, gap) => {
      const { values }: { values: number[] } = JSON.parse(update.value)
      gapBefore.push([values[0] ?? -1, gap])
      return gapBefore.length === 1 ? await begun.promise : { ...APPENDED, readBack: update.value }
    })
    applier.subscribed()
    for (let n = 0; n < 10_003; n++) applier.received(message(n))
    await eventually(() => expect(gapBefore).toHaveLength(1))
    begun.resolve({ ...APPENDED, readBack: undefined })
    await eventually(() => expect(gapBefore).toHaveLength(10_000))
    applier.received(message(20_000))
    await applier.close()
    expect(gapBefore.filter(([, gap]) => gap !== undefined)).toEqual([[20_000, 'overflow']])
    expect(happened.filter((what) => what.startsWith('gap'))).toEqual(['gap takeover', 'gap overflow'])
  })

  test('extends a lease that is due before it writes the updates that wait', async () => {
    const first = Promise.withResolvers<StateWritten>()
    const order: string[] = []
    const { applier } = openApplier(
      async (update) => {
        order.push('write')
        return order.length === 1 ? await first.promise : { ...APPENDED, readBack: update.value }
      },
      () => order.push('lease'),
    )
    for (let n = 0; n < 3; n++) applier.received(message(n))
    await eventually(() => expect(order).toEqual(['write']))
    const stop = new AbortController()
    const running = applier.service().run(stop.signal)
    first.resolve({ ...APPENDED, readBack: undefined })
    await eventually(() => expect(order).toEqual(['write', 'lease', 'write', 'write']))
    stop.abort()
    await running
    await applier.close()
  })

  test('drops updates beyond the maximum number that may wait', async () => {
    const { promise, resolve } = Promise.withResolvers<StateWritten>()
    const { applier, happened } = openApplier(() => promise)
    for (let n = 0; n < 10_010; n++) applier.received(message(n))
    expect(happened).toHaveLength(10)
    resolve({ ...APPENDED, readBack: undefined })
    await applier.close()
  })
})

const APPENDED: StateWritten = { isAppended: true, streamError: undefined, readBack: undefined, gaps: 0 }

function message(n: number): Buffer {
  return Buffer.from(JSON.stringify({ type: 'x', values: [n] }))
}

function openApplier(
  write: (update: KvUpdate, gap: GapReason | undefined) => Promise<StateWritten>,
  leaseExtended: () => void = () => undefined,
  mayHaveLost: () => boolean = () => false,
) {
  const happened: string[] = []
  const applier = new UpdateApplier({
    writer: {
      write,
      appendGap: async () => true,
      appendLateGap: async () => undefined,
      standing: async () => ({ isHolder: true, gaps: 0 }),
      mayHaveLost,
    },
    lease: {
      acquire: async () => {
        leaseExtended()
        return true
      },
      release: async () => undefined,
    },
    isSubscribed: () => true,
    receivedAll: async () => undefined,
    isProtected: () => false,
    validate: true,
    telemetry: {
      notJson: () => happened.push('not JSON'),
      invalidUpdate: () => happened.push('invalid'),
      protectedUpdate: () => happened.push('protected'),
      updateApplied: (type) => happened.push(`applied ${type}`),
      updateValidated: (type) => happened.push(`validated ${type}`),
      updateMismatched: (type) => happened.push(`mismatched ${type}`),
      updateFailed: (type) => happened.push(`failed ${type}`),
      updateDropped: () => happened.push('dropped'),
      eventRefused: () => happened.push('refused'),
      leaseTaken: () => undefined,
      leaseLost: () => undefined,
      gapAppended: (reason) => happened.push(`gap ${reason}`),
      loopFailed: (_loop, error) => happened.push(String(error)),
    },
    monitor: new LoopMonitor(() => 0),
  })
  return { applier, happened }
}

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceDelete, DeviceWrite } from '../../../../cache-service/core/records/plan.ts'
import { deleteCalls, updateCalls } from '../../../../cache-service/redis/devices/script-calls.ts'
import { deviceId } from '../../../support/records/record-builder.ts'

describe('the calls of a script', () => {
  const write = (id: string, content = 'x'): DeviceWrite => ({
    index: 0,
    deviceId: deviceId(id),
    lastUpdated: '2025-06-08T18:27:17.476623+00:00',
    fields: ['datatype_id', content],
    expiresAtMs: 1749493637000,
  })
  const roomy = { maxKeys: 1_000, maxBytes: 1_000_000 }

  test('pack one entry per key: expiry, last_updated, names and values', () => {
    expect(updateCalls([write('gw:1'), write('é', '"\0\u{1f6aa}')], roomy)).toEqual([
      {
        keys: ['device:gw:1:metadata', 'device:é:metadata'],
        packed:
          '[[1749493637000,"2025-06-08T18:27:17.476623+00:00","datatype_id","x"],' +
          '[1749493637000,"2025-06-08T18:27:17.476623+00:00","datatype_id","\\"\\u0000\u{1f6aa}"]]',
      },
    ])
  })

  test('for deletes pack the latest last_updated that is deleted', () => {
    const deletes: DeviceDelete[] = [
      { index: 0, deviceId: deviceId('a'), deletesUpTo: '2025-06-08T18:32:18.000000+00:00' },
    ]
    expect(deleteCalls(deletes, roomy)).toEqual([
      { keys: ['device:a:metadata'], packed: '["2025-06-08T18:32:18.000000+00:00"]' },
    ])
  })

  test('have one key each, for a cluster', () => {
    const calls = updateCalls([write('a'), write('b'), write('c')], { ...roomy, maxKeys: 1 })
    expect(calls.map(({ keys }) => keys)).toEqual([
      ['device:a:metadata'],
      ['device:b:metadata'],
      ['device:c:metadata'],
    ])
  })

  test('are none for an empty plan', () => {
    expect(updateCalls([], roomy)).toEqual([])
  })

  test('send an entry beyond the limit in a call of its own', () => {
    const large = 'x'.repeat(500)
    const calls = updateCalls([write('a'), write('b', large), write('c')], { maxKeys: 9, maxBytes: 300 })
    expect(calls.map(({ keys }) => keys.length)).toEqual([1, 1, 1])
    expect(calls[1]?.packed).toContain(large)
  })

  test('together contain the whole plan, and each is within the limits', () => {
    const limits = fc.record({
      maxKeys: fc.integer({ min: 1, max: 4 }),
      maxBytes: fc.integer({ min: 1, max: 400 }),
    })
    const contents = fc.array(fc.string({ maxLength: 60 }), { maxLength: 12 })
    fc.assert(
      fc.property(contents, limits, (texts, { maxKeys, maxBytes }) => {
        const writes = texts.map((text, i) => write(`d${i}`, text))
        const calls = updateCalls(writes, { maxKeys, maxBytes })
        const entries = calls.flatMap(({ packed }): unknown[] => JSON.parse(packed))
        expect(entries).toEqual(writes.map((w) => [w.expiresAtMs, w.lastUpdated, ...w.fields]))
        expect(calls.flatMap(({ keys }) => keys)).toEqual(writes.map((w) => `device:${w.deviceId}:metadata`))
        for (const { keys, packed } of calls) {
          expect(keys.length).toBeLessThanOrEqual(maxKeys)
          const separators = keys.length + 1
          if (keys.length > 1) expect(packed.length - separators).toBeLessThanOrEqual(maxBytes)
        }
      }),
      { numRuns: 500 },
    )
  })
})

import { describe, expect, test } from 'vitest'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import {
  createCanary,
  type CanaryDependencies,
} from '../../../../cache-service/pipeline/lag-monitor/canary.ts'
import { parseDeviceId } from '../../../../shared/contract/device-id.ts'
import { messageOf } from '../../../../shared/errors.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const OWN = '2026-01-01T00:00:00.000000+00:00'
const LATER = '2026-01-01T00:00:01.000000+00:00'
const EARLIER = '2025-12-31T23:59:59.000000+00:00'

/** One turn of the canary. Each read takes ten seconds. @returns what the telemetry has received. */
async function runTurn(given: Partial<CanaryDependencies>): Promise<string[]> {
  const deviceId = parseDeviceId('cache_service_canary')
  if (deviceId === undefined) throw new Error('no device id')
  const stop = new AbortController()
  const received: string[] = []
  let monotonicMs = 0
  const slowly = (read: CanaryDependencies['readStored']) => async (signal: AbortSignal) => {
    monotonicMs += 10_000
    return await read(signal)
  }
  const { readServed, readStored = async () => OWN, ...others } = given
  const canary = createCanary({
    ...{ deviceId, everyMs: 1_000, now: () => NOW_MS, monotonicNow: () => monotonicMs },
    monitor: new LoopMonitor(() => monotonicMs),
    send: async () => 3,
    readStored: slowly(readStored),
    readServed: readServed && slowly(readServed),
    telemetry: {
      reached: (stage, seconds) => void received.push(`${stage} ${seconds}`),
      arrived(partition) {
        received.push(`arrived ${partition}`)
        stop.abort()
      },
      failed(stage, partition, error) {
        received.push(`not ${stage} ${partition} ${messageOf(error)}`)
        stop.abort()
      },
      loopFailed: (_name, error) => stop.abort(error),
    },
    ...others,
  })
  await canary.run(stop.signal)
  return received
}

/** The first read is that before the record is sent. */
const after = (before: string | undefined, ...then: readonly (string | undefined)[]) => {
  const answers = [before, ...then]
  return async () => (answers.length > 1 ? answers.shift() : answers[0])
}

describe('a canary record', () => {
  test('arrives when Kafka, Redis and the API have it', async () => {
    const sent: unknown[] = []
    const send: CanaryDependencies['send'] = async (key, value) => {
      sent.push(key, JSON.parse(value))
      return 3
    }
    const readStored = after(EARLIER, EARLIER, OWN)
    expect(await runTurn({ send, readStored, readServed: async () => OWN })).toEqual([
      ...['acknowledged 0', 'stored 20', 'served 30', 'arrived 3'],
    ])
    expect(sent).toEqual([
      'cache_service_canary',
      expect.objectContaining({
        ...{ device_id: 'cache_service_canary', timestamp: OWN, values: [] },
        metadata: expect.objectContaining({ datatype_name: 'canary', persist: false }),
      }),
    ])
  })

  test('arrives in Redis if no API is asked', async () => {
    expect(await runTurn({ readStored: after(undefined, OWN) })).toEqual([
      ...['acknowledged 0', 'stored 10', 'arrived 3'],
    ])
  })

  test('counts as arrived if that of another lag monitor has replaced it', async () => {
    const received = await runTurn({ readStored: after(EARLIER, LATER) })
    expect(received.at(-1)).toBe('arrived 3')
  })

  test('counts as lost if a newer one was there before: the clock of this machine is behind', async () => {
    const received = await runTurn({ readStored: async () => LATER })
    expect(received).toEqual([
      'acknowledged 0',
      `not stored 3 a record of ${LATER} is newer than this one: check the clock of this machine`,
    ])
  })

  test.each([
    ['not acknowledged undefined refused', { send: () => Promise.reject(new Error('refused')) }],
    ['not stored 3 not within 30 s', { readStored: async () => EARLIER }],
    ['not stored 3 not within 30 s', { readStored: async () => undefined }],
    ['not served 3 not within 30 s', { readStored: after(EARLIER, OWN), readServed: async () => EARLIER }],
    [
      'not served 3 no answer',
      { readStored: after(EARLIER, OWN), readServed: () => Promise.reject(new Error('no answer')) },
    ],
  ])('is %s', async (expected, given) => {
    expect((await runTurn(given)).at(-1)).toBe(expected)
  })

  test('is sent although Redis could not be read before', async () => {
    let reads = 0
    const readStored = async () => {
      reads++
      if (reads === 1) throw new Error('not connected')
      return OWN
    }
    expect((await runTurn({ readStored })).at(-1)).toBe('arrived 3')
  })
})

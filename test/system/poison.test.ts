import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { invalid, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

const MAX_RECORD_BYTES = 4096

const valid = { request_id: 'r-1', timestamp: '2025-06-08T18:27:17.476623', device_id: 'any-device' }
const json = (fields: object) => JSON.stringify({ ...valid, ...fields })

/** Invalid records of every kind, by reason. */
const poisons: Record<string, TaggedRecord[]> = {
  not_utf8: [
    invalid('not_utf8', Buffer.from(json({ device_id: 'dev\xe9' }), 'latin1')),
    invalid('not_utf8', Buffer.from([0xff, 0xfe, 0x00])),
  ],
  not_json: [
    invalid('not_json', '{"device_id": "cut off'),
    invalid('not_json', json({}).replaceAll('"', "'")),
    invalid('not_json', `\ufeff${json({})}`),
  ],
  not_an_object: [
    invalid('not_an_object', '[1, 2]'),
    invalid('not_an_object', 'null'),
    invalid('not_an_object', '"text"'),
  ],
  missing_device_id: [
    invalid('missing_device_id', JSON.stringify({ ...valid, device_id: undefined })),
    invalid('missing_device_id', json({ device_id: null })),
  ],
  bad_device_id: [
    invalid('bad_device_id', json({ device_id: '' })),
    invalid('bad_device_id', json({ device_id: 7 })),
    invalid('bad_device_id', json({ device_id: 'line\nbreak' })),
    invalid('bad_device_id', json({ device_id: 'é'.repeat(129) })),
    invalid('bad_device_id', json({ device_id: 'lone' }).replace('lone', 'lone\\ud800')),
  ],
  bad_timestamp: [
    invalid('bad_timestamp', json({ timestamp: 'yesterday', metadata: {} })),
    invalid('bad_timestamp', json({ timestamp: '1969-12-31T23:59:59', metadata: {} })),
    invalid('bad_timestamp', json({ timestamp: 1749407237, metadata: {} })),
  ],
  bad_request_id: [invalid('bad_request_id', json({ request_id: 17, metadata: {} }))],
  bad_metadata: [
    invalid('bad_metadata', json({ metadata: 'temperature' })),
    invalid('bad_metadata', json({ metadata: [] })),
    invalid('bad_metadata', json({ metadata: { datatype_id: { nested: 1 } } })),
    invalid('bad_metadata', json({ metadata: { persist: 'yes' } })),
  ],
  too_deep: [invalid('too_deep', json({ values: JSON.parse('['.repeat(64) + ']'.repeat(64)) }))],
  too_many_fields: [
    invalid(
      'too_many_fields',
      json({ metadata: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`f${i}`, 1])) }),
    ),
  ],
  empty_value: [invalid('empty_value', '')],
  value_too_large: [invalid('value_too_large', json({ values: ['x'.repeat(MAX_RECORD_BYTES)] }))],
  bad_key: [
    invalid('bad_key', null, null),
    invalid('bad_key', null, ''),
    invalid('bad_key', null, Buffer.from([0xc3])),
    invalid('bad_key', null, 'tab\there'),
  ],
}

const REASONS = Object.keys(poisons)
const wrongType: TaggedRecord = {
  ...update({ deviceId: 'x' }),
  expectation: { outcome: 'rejected', reason: 'wrong_type' },
}

describe.concurrent('a poison record', () => {
  test('of any kind at the end of its partition becomes a dead letter, and the partition continues', async (context) => {
    const report = reportFault(context, 'P1')
    const wrongTypes = reportFault(context, 'R14')
    const scenario = await openWorkerScenario(context, {
      partitions: REASONS.length,
      env: { MAX_RECORD_BYTES: String(MAX_RECORD_BYTES) },
    })
    const { oracle } = scenario
    await scenario.redis.lpush('device:x:metadata', 'not a hash')
    const foreignKeys = ['device:x:metadata']
    for (const [partition, reason] of REASONS.entries()) {
      const good = Array.from({ length: 20 }, (_, i) => update({ deviceId: `${reason}-${i}` }))
      await scenario.send([...good, ...(poisons[reason] ?? [])].map((record) => ({ ...record, partition })))
    }
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed, foreignKeys })
    await worker.ready()
    const deadLetters = await worker.metric('dead_letters_total')
    expect(
      Object.fromEntries(deadLetters.map(({ labels, value }) => [labels['reason'], value])),
    ).toMatchObject(
      Object.fromEntries(Object.entries(poisons).map(([reason, records]) => [reason, records.length])),
    )

    report.saw(
      `${Object.values(poisons).flat().length} records of ${REASONS.length} kinds: a dead letter each`,
    )

    // Redis refuses a key of another type: the records before and after it in the chunk are written.
    await scenario.send(
      [update({ deviceId: 'w' }), wrongType, update({ deviceId: 'y' })].map((record) => ({
        ...record,
        partition: 0,
      })),
    )
    await oracle.assertCaughtUp({ consumed: scenario.consumed, foreignKeys })
    const poisonedTombstone = { ...tombstone('x'), expectation: wrongType.expectation }
    await scenario.send(
      [update({ deviceId: 'v' }), poisonedTombstone].map((record) => ({ ...record, partition: 0 })),
    )
    await oracle.assertCaughtUp({ consumed: scenario.consumed, foreignKeys })
    expect(await scenario.redis.lrange('device:x:metadata', 0, -1)).toEqual(['not a hash'])
    wrongTypes.saw('an update and a tombstone of it: 2 dead letters `wrong_type`, their neighbours written')
    await patiently(async () => {
      expect((await worker.metric('consumer_lag')).every(({ value }) => value === 0)).toBe(true)
    })
    expect(await worker.stop()).toBe(0)
  })

  test('holds the worker while the error topic is missing, and is never skipped', async (context) => {
    const report = reportFault(context, 'D1')
    const scenario = await openWorkerScenario(context, { partitions: 1, errorTopic: false })
    const { oracle } = scenario
    const worker = await scenario.startWorker()
    await scenario.send([update({ deviceId: 'before' })])
    await oracle.caughtUp()
    await scenario.send([update({ deviceId: 'beside' }), invalid('not_json', '{')])
    await patiently(async () => {
      const { status, body } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toMatch(/holding: kafka TOPIC_MISSING/)
      expect(body).toContain(scenario.errorTopic)
    })
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    await scenario.send([update({ deviceId: 'behind' })])
    // Wait until the hold has become a pause.
    await patiently(() => expect(worker.output).toContain('consumption paused'))
    expect(await oracle.committed()).toEqual(new Map([[0, 1]]))
    report.saw('missing: nothing is committed from the record on')
    await scenario.createErrorTopic()
    const recovered = report.startRecovery()
    await oracle.assertCaughtUp({ consumed: scenario.consumed }, 60_000)
    await worker.ready()
    recovered()
    expect(await worker.stop()).toBe(0)
  })

  test('whose dead letter is too large for the error topic is dead-lettered without its bytes, and its neighbours normally', async (context) => {
    const report = reportFault(context, 'D2')
    const scenario = await openWorkerScenario(context, {
      partitions: 1,
      errorTopic: { 'max.message.bytes': '3000' },
    })
    const noise = randomBytes(4000).toString('hex')
    const large: TaggedRecord = {
      ...invalid('bad_metadata', json({ metadata: noise })),
      expectation: { outcome: 'rejected', reason: 'bad_metadata', isShortened: true },
    }
    await scenario.send([
      update({ deviceId: 'one' }),
      invalid('not_json', '{'),
      large,
      invalid('not_json', '}'),
      update({ deviceId: 'two' }),
    ])
    const worker = await scenario.startWorker()
    await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
    expect(worker.output).toContain('too large for the error topic')
    report.saw('sent without the original bytes, marked as truncated; its neighbours have theirs')
    expect(await worker.stop()).toBe(0)
  })

  test('of 256 KiB or more has a dead letter with its first 256 KiB', async (context) => {
    const report = reportFault(context, 'P1')
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    await scenario.send([
      invalid('not_json', Buffer.alloc(256 * 1024, 'x')),
      invalid('not_json', Buffer.alloc(256 * 1024 + 1, 'x')),
      invalid('not_json', Buffer.alloc(800 * 1024, 'x')),
    ])
    const worker = await scenario.startWorker()
    await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
    report.saw('a record of 800 KiB: its first 256 KiB are in the dead letter')
    expect(await worker.stop()).toBe(0)
  })
})

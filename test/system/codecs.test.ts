import { openSync, closeSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDeviceFleet } from '../simulator/device-fleet.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { readTopic } from '../support/records/read-topic.ts'
import { fromFleet, update } from '../support/records/tagged-records.ts'
import { WIRE_CODECS } from '../support/records/wire-codecs.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

test("a worker reads batches in all of Kafka's codecs, including snappy as written by librdkafka and by Java", async (context) => {
  const scenario = await openWorkerScenario(context)
  const fleet = createDeviceFleet({ seed: 9, devices: 100, tombstonePercent: 2 })
  const worker = await scenario.startWorker()
  for (let round = 0; round < 2; round++) {
    for (const codec of WIRE_CODECS) {
      await scenario.send(fleet.records(1_500, Date.now()).map(fromFleet), codec)
      await scenario.send([update({ deviceId: `${codec}-${round}` })], codec)
    }
  }
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  const failures = await worker.metric('decode_errors_total')
  expect(failures.map(({ value }) => value)).toEqual(failures.map(() => 0))
  expect(await worker.stop()).toBe(0)
})

test('a batch that cannot be decoded becomes dead letters, and blocks neither its partition nor the others', async (context) => {
  const reports = (['P1', 'K19'] as const).map((fault) => reportFault(context, fault))
  const kafka = await startOwnKafka()
  context.onTestFinished(() => kafka.stop())
  const scenario = await openWorkerScenario(context, { kafka })
  const { admin, errorTopic, redis, topic } = scenario
  const send = (deviceId: string, partition: number) =>
    scenario.send([{ ...update({ deviceId }), partition }], 'none')
  await send('before', 0)
  await scenario.send(
    Array.from({ length: 200 }, (_, i) => ({ ...update({ deviceId: `lost-${i}` }), partition: 0 })),
  )
  corruptLastBatch(join(kafka.folder, 'data', `${topic}-0`))
  for (const partition of [0, 1, 2]) await send(`after-${partition}`, partition)

  const worker = await scenario.startWorker()
  await worker.ready()
  const devices = await redis.smembers('devices')
  expect(devices.toSorted()).toEqual(['after-0', 'after-1', 'after-2', 'before'])
  const ends: [number, number][] = [
    [0, 202],
    [1, 1],
    [2, 1],
  ]
  await patiently(async () => expect([...(await scenario.oracle.committed())].toSorted()).toEqual(ends))
  expect(await scenario.consumed()).toBe(204)
  const failures = await worker.metric('decode_errors_total')
  expect(failures.find(({ labels }) => labels['codec'] === 'snappy')?.value).toBe(1)
  expect(worker.logLines()).toContainEqual(
    expect.objectContaining({ level: 'error', codec: 'snappy', partition: 0, firstOffset: 1, records: 200 }),
  )

  const deadLetters = await readTopic(scenario.kafka, admin, errorTopic)
  const headers = deadLetters.map((deadLetter) => deadLetter.headers)
  expect(new Set(headers.map((header) => String(header['reason'])))).toEqual(new Set(['undecodable']))
  const offsets = headers.map((header) => Number(header['source_offset'])).toSorted((a, b) => a - b)
  expect(offsets).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  const first = headers.find((header) => String(header['source_offset']) === '1')
  // The batch as it is stored: its base offset comes first.
  expect(first?.['original_value']?.readBigInt64BE(0)).toBe(1n)
  for (const report of reports)
    report.saw('a corrupt snappy batch: a dead letter for each of its 200 offsets')
  expect(await worker.stop()).toBe(0)
})

/** Overwrites the bytes of the log's last batch after its header, as a faulty disk could. */
function corruptLastBatch(folder: string): void {
  const name = readdirSync(folder).find((file) => file.endsWith('.log'))
  if (name === undefined) throw new Error(`no log in ${folder}`)
  const path = join(folder, name)
  const log = readFileSync(path)
  const headerBytes = 61
  let at = 0
  for (let next = 0; next + headerBytes < log.length && log.readUInt32BE(next + 8) > 0;) {
    at = next
    next += 12 + log.readUInt32BE(next + 8)
  }
  const end = at + 12 + log.readUInt32BE(at + 8)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(end - at - headerBytes, 0xff), 0, end - at - headerBytes, at + headerBytes)
  closeSync(file)
}

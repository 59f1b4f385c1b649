import { openSync, closeSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDeviceFleet } from '../simulator/device-fleet.ts'
import { patiently } from '../support/eventually.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
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
  expect(failures.map(({ labels, value }) => [labels['codec'], value])).toEqual([
    ['gzip', 0],
    ['snappy', 0],
    ['lz4', 0],
    ['zstd', 0],
  ])
  expect(await worker.stop()).toBe(0)
})

test('a worker counts and reports a batch that cannot be decompressed, and does not skip it', async (context) => {
  const kafka = await startOwnKafka()
  context.onTestFinished(() => kafka.stop())
  const scenario = await openWorkerScenario(context, { kafka, partitions: 1 })
  await scenario.send([update({ deviceId: 'before' })], 'none')
  await scenario.send(Array.from({ length: 200 }, (_, i) => update({ deviceId: `lost-${i}` })))
  corruptLastBatch(join(kafka.folder, 'data', `${scenario.topic}-0`))
  const worker = await scenario.startWorker()
  await patiently(async () => {
    const failures = await worker.metric('decode_errors_total')
    expect(failures.find(({ labels }) => labels['codec'] === 'snappy')?.value).toBeGreaterThan(1)
  })
  expect(worker.logLines()).toContainEqual(
    expect.objectContaining({
      level: 'error',
      codec: 'snappy',
      msg: 'a batch cannot be decompressed: see the runbook',
    }),
  )
  expect(await worker.get('/livez')).toMatchObject({ status: 200 })
  expect((await scenario.oracle.committed()).get(0) ?? 0).toBeLessThanOrEqual(1)
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

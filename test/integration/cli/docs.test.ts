import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { LagReport } from '../../../cache-service/core/workers/lag-report.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { storeDevice } from '../../support/records/cli-fixtures.ts'
import { appendUpdate, hint } from '../../support/processes/client-world.ts'
import { deviceId } from '../../support/records/record-builder.ts'
import {
  asWritten,
  readExamples,
  runExample,
  tidy,
  type ExampleWorld,
} from '../../support/docs/doc-examples.ts'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { folderOfFile } from '../../support/temporary-folder.ts'
import { createTopic, uniqueName, useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'
import { lagReport, partitionLag } from '../../support/records/lag-report.ts'
import { workerReport } from '../../support/records/worker-report.ts'
import { repository } from '../../support/repository.ts'
import { lastingLagReporter, lastingWorkerReporter } from '../../support/records/lasting-reporter.ts'

const examplesOf = (name: string) => readExamples(readFileSync(join(repository, 'docs', name), 'utf8'))

const brokers = inject('kafkaBrokers')

describe('the examples of docs/cli.md', () => {
  let database: RedisDatabase
  let api: RunningApi
  const folder = folderOfFile()
  let topic: string
  let group: string
  let world: ExampleWorld

  beforeAll(async () => {
    database = await useRedisDatabase(inject('redisUrl'))
    const inFolder = (name: string) => join(folder, name)
    topic = uniqueName('validated')
    group = uniqueName('group')
    await prepareTopic(topic, group)
    await prepareDevices(database)
    writeFileSync(inFolder('ids.txt'), 'sensor-2\nsensor-9\n')
    const made = await runCliHere([
      ...['token', 'create', '--name', 'app', '--format', 'json', '--file', inFolder('tokens.jsonl')],
    ])
    const { token }: { token: string } = JSON.parse(made.output)
    writeFileSync(inFolder('app.token'), token)
    api = await startApi({
      REDIS_URL: database.url,
      API_AUTH: 'token',
      API_TOKENS_FILE: inFolder('tokens.jsonl'),
    })
    const { hostname, password, port, pathname } = new URL(database.url)
    world = {
      env: {
        KAFKA_BOOTSTRAP_SERVERS: brokers.join(),
        KAFKA_VALIDATED_DATA_TOPIC: topic,
        KAFKA_CONSUMER_GROUP_ID: group,
        REDIS_HOST: hostname,
        REDIS_PORT: port,
        REDIS_DB: pathname.slice(1),
        ...(password !== '' && { REDIS_PASSWORD: decodeURIComponent(password) }),
      },
      aliases: {
        'http://127.0.0.1:5011': api.url,
        ...Object.fromEntries(
          ['ids.txt', 'devices.csv', 'tokens.jsonl', 'app.token'].map((name) => [name, inFolder(name)]),
        ),
      },
      tidy: tidyOutput,
      async happen() {
        await hint(database.client, 'changed', ['sensor-1', 'sensor-2'], 5)
        await appendUpdate(database.client, 'alarms', 7)
        await hint(database.client, 'deleted', ['gw:7'])
      },
    }
  })
  afterAll(async () => {
    await api.stop()
    await database.release()
  })
  beforeEach(async () => {
    // A worker writes its report every few seconds.
    const lag = [
      { partition: 0, records: 1, seconds: 0.4 },
      { partition: 1, records: 0, seconds: 0 },
    ]
    const report = workerReport({ id: 'worker-1', group, topic, lag, lag_records: 1, devices: 3 })
    await lastingWorkerReporter(database.client, 'worker-1').write(report)
    const lagReporter = lastingLagReporter(database.client)
    for (const monitored of lagReports()) await lagReporter.write(monitored)
  })

  test.each(examplesOf('cli.md'))('line $line: $command', async (example) => {
    const { exitCode, shown } = await runExample(example, world)
    expect(asWritten(shown, example, world)).toBe(tidy(example.shown, world))
    expect(exitCode).toBe(example.exitCode)
  })
})

function lagReports(): LagReport[] {
  const ours = [
    partitionLag({ records: 1, seconds: 0.4, owner: 'worker-1 at 10.0.0.7' }),
    partitionLag({ partition: 1, records: 0, seconds: 0, owner: 'worker-1 at 10.0.0.7' }),
  ]
  const others = [
    partitionLag({ state: 'growing', records: 4_711, seconds: 93.2, owner: 'ingestor-1 at 10.0.0.9' }),
    partitionLag({ partition: 1, state: 'no_consumer', records: 12, seconds: 61, owner: null }),
  ]
  return Object.entries({ cache_service_group: ours, influxdb_ingestor: others }).map(([group, partitions]) =>
    lagReport({ group, topics: [{ topic: 'iot_validated_data', problem: null, partitions }] }),
  )
}

async function prepareDevices(database: RedisDatabase): Promise<void> {
  await storeDevice(database, 'sensor-1', { datatype_id: '7', datatype_unit: '["°C","%"]', site: 'hall 3' })
  await storeDevice(database, 'sensor-2', {
    datatype_name: 'humidity',
    datatype_unit: '%',
    persist: 'false',
  })
  await storeDevice(database, 'gw:7')
  await database.client.hdel(deviceKey(deviceId('gw:7')), 'datatype_name')
  await database.client.sadd('cache_service:{events}:types', 'alarms')
  await database.client.set('alarms', '{"updated":"2026-01-05","valid":true,"values":[7]}')
  // Its hash has expired.
  await database.client.sadd(DEVICE_INDEX_KEY, 'sensor-0')
}

/** Four records, of which the group has committed three. */
async function prepareTopic(topic: string, group: string): Promise<void> {
  await createTopic(brokers, topic, { partitions: 2 })
  const kafka = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING })
  const producer = kafka.producer()
  const admin = kafka.admin()
  try {
    await Promise.all([producer.connect(), admin.connect()])
    // One partition per request: otherwise the retry of one partition could duplicate the records of the other.
    const value = '{}'
    await producer.send({ topic, messages: [0, 0, 0].map((partition) => ({ partition, value })) })
    await producer.send({ topic, messages: [{ partition: 1, value }] })
    const partitions = [2, 1].map((offset, partition) => ({ partition, offset: String(offset) }))
    await admin.setOffsets({ groupId: group, topic, partitions })
  } finally {
    await Promise.all([producer.disconnect(), admin.disconnect()])
  }
}

/** Replaces counters of the server and random values, and sorts devices, whose order is not defined. */
function tidyOutput(text: string): string {
  const known = text
    .replaceAll(/^(hit_rate_percent|memory|keys|redis_version|redis_uptime_s) +\S+$/gm, '$1 <some>')
    .replaceAll(/\b3(?:5\d\d|600)\b/g, '<ttl>')
    .replaceAll(/"id":"[^"]+"/g, '"id":"<place>"')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<sha256>')
    .replaceAll(/(?<=token": "|token {2})[\w-]{43}/g, '<token>')
  return known.replaceAll(/(?:^(?:sensor-|gw:).*\n?)+/gm, (lines) => sortLines(lines))
}

function sortLines(text: string): string {
  return `${text.trimEnd().split('\n').toSorted().join('\n')}\n`
}

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  asWritten,
  readExamples,
  runExample,
  tidy,
  type ExampleWorld,
} from '../../support/docs/doc-examples.ts'
import { patiently } from '../../support/eventually.ts'
import { invalid, update } from '../../support/records/tagged-records.ts'
import { openWorkerScenario, type WorkerScenario } from '../../support/processes/worker-scenario.ts'
import { repository } from '../../support/repository.ts'
import { progressKey } from '../../../shared/contract/keys.ts'

const DOCUMENT = join(repository, 'docs/cli-operations.md')
const EXAMPLES = readExamples(readFileSync(DOCUMENT, 'utf8'))

/** What must happen before an example, as the text around it says. */
const BEFORE: Readonly<Record<string, (scenario: WorkerScenario) => Promise<unknown>>> = {
  'cache-cli errors replay --reason wrong_type': ({ redis }) => redis.del('device:sensor-1:metadata'),
  'cache-cli rebuild --dry-run': ({ group, redis, topic }) =>
    patiently(async () => expect(await redis.hget(progressKey(group, topic), '0')).toMatch(/^4\b/)),
  'cache-cli rebuild --yes': ({ redis }) => redis.del('device:sensor-3:metadata'),
}

let scenario: WorkerScenario
let world: ExampleWorld
const releases: (() => Promise<void> | void)[] = []

/** A running worker that has filled Redis and written two dead letters. */
beforeAll(async () => {
  scenario = await openWorkerScenario(
    { onTestFinished: (release) => void releases.unshift(release), onTestFailed: () => undefined },
    { partitions: 1, ownRedis: {} },
  )
  const { env, errorTopic, group, redis, topic } = scenario
  const folder = await mkdtemp(join(tmpdir(), 'test-cli-operations-'))
  releases.push(() => rm(folder, { recursive: true }))
  const recordFile = join(folder, 'record.json')
  await writeFile(
    recordFile,
    '{"device_id":"sensor-3","timestamp":"2025-06-08T18:27:17","metadata":{"datatype_name":"humidity"}}',
  )
  world = {
    env: { ...env, METRICS_PORT: '0' },
    aliases: {
      iot_validated_data: topic,
      iot_errors: errorTopic,
      cache_service_group: group,
      'record.json': recordFile,
    },
  }
  await redis.set('device:sensor-1:metadata', 'of somebody else')
  await scenario.send([
    update({ deviceId: 'sensor-1', metadata: { datatype_name: 'temperature' }, requestId: 'request-1' }),
    invalid('not_json', '{"device_id": "sensor-2', 'sensor-2'),
    update({ deviceId: 'sensor-3', metadata: { datatype_name: 'humidity' } }),
  ])
  const worker = await scenario.startWorker()
  await patiently(async () => expect(await worker.consumed()).toBe(3))
  await worker.ready()
  await patiently(async () => expect(await redis.keys('cache_service:{workers}:report:*')).toHaveLength(1))
})

afterAll(async () => {
  for (const release of releases) await release()
})

test.each(EXAMPLES)('line $line of docs/cli-operations.md: $command', async (example) => {
  await BEFORE[example.command]?.(scenario)
  const { exitCode, shown } = await runExample(example, world)
  expect(asWritten(shown, example, world)).toBe(tidy(example.shown, world))
  expect(exitCode).toBe(example.exitCode)
})

test('every example with a preparation is in the document', () => {
  expect(EXAMPLES.map(({ command }) => command)).toEqual(expect.arrayContaining(Object.keys(BEFORE)))
})

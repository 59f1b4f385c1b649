import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliHere, startCliHere, type CliResult } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { invalid, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { startRedisCluster, type RedisCluster } from '../support/servers/redis-cluster.ts'

/** Every command of cache-cli on a Cluster, and the same on one server: people and scripts must not see a difference. */

const SENT_MS = Date.now() - 60_000
const DEVICES = Array.from({ length: 60 }, (_, n) => `hall-${n}`)

const RECORDS: readonly TaggedRecord[] = [
  ...DEVICES.map((deviceId, n) =>
    update({
      deviceId,
      timestampMs: SENT_MS + n,
      metadata: { datatype_name: n % 2 ? 'humidity' : 'temperature' },
    }),
  ),
  update({ deviceId: 'deleted', timestampMs: SENT_MS }),
  tombstone('deleted', SENT_MS + 100),
  invalid('not_json', 'no JSON', 'bad'),
]

let cluster: RedisCluster
const releases: (() => Promise<void> | void)[] = []
let worlds: readonly WorkerScenario[]

beforeAll(async () => {
  const context = {
    onTestFinished: (release: () => Promise<void> | void) => void releases.unshift(release),
    onTestFailed: () => undefined,
  }
  cluster = await startRedisCluster({ replicasPerMaster: 1 })
  worlds = [
    await openWorkerScenario(context, { partitions: 1, redisCluster: cluster }),
    await openWorkerScenario(context, { partitions: 1, ownRedis: {} }),
  ]
  for (const world of worlds) {
    await world.redis.set('prices', '{"updated":1,"valid":true,"values":[1]}')
    await (await world.startWorker()).ready()
    await world.send(RECORDS)
    await patiently(async () => expect(await world.consumed()).toBe(RECORDS.length))
  }
}, 120_000)
afterAll(async () => {
  for (const release of releases) await release()
  await cluster?.stop()
})

type Command = {
  readonly args: readonly string[]
  readonly stdin?: string
  /** What is compared: all of the output, its lines in any order, or only the names of the fields. */
  readonly compare?: 'text' | 'lines' | 'fields'
}

/** The last ones change something. */
const COMMANDS: readonly Command[] = [
  { args: ['list', '--limit', 'all', '-f', 'csv'], compare: 'lines' },
  { args: ['list', '--sort', '-last_updated', '--limit', '7', '--page', '2', '-f', 'csv'] },
  { args: ['list', '--match', 'hall-1', '-f', 'jsonl'], compare: 'lines' },
  { args: ['get', 'hall-3', '-f', 'json'] },
  { args: ['get', 'unknown'] },
  { args: ['batch', '--file', '-', '-f', 'csv'], stdin: [...DEVICES, 'unknown', ''].join('\n') },
  { args: ['state', '-f', 'json'] },
  { args: ['info', '-f', 'json'], compare: 'fields' },
  { args: ['config', 'validate'] },
  { args: ['config', 'show', '-f', 'csv', '--columns', 'option,source'], compare: 'fields' },
  { args: ['lag', '-f', 'csv', '--columns', 'partition,committed,end,lag'] },
  { args: ['errors', 'list', '-f', 'csv', '--columns', 'reason,device_id,source_offset'] },
  { args: ['errors', 'stats', '-f', 'csv'] },
  { args: ['errors', 'show', '0', '0', '--original'] },
  { args: ['explain', '--partition', '0', '--offset', '3'] },
  {
    args: ['explain', '-', '--key', 'hall-4', '-f', 'jsonl', '--columns', 'verdict,device_id'],
    stdin: '{"device_id":"hall-4","metadata":{}}',
  },
  { args: ['doctor', '--role', 'worker', '-f', 'csv', '--columns', 'area'], compare: 'lines' },
  { args: ['completion', 'bash'] },
  { args: ['token', 'list', '--file', '/dev/null', '-f', 'csv'] },
  { args: ['sweep'] },
  { args: ['errors', 'replay', '--dry-run'] },
  { args: ['errors', 'replay'] },
  { args: ['errors', 'replay'] },
  { args: ['delete', 'hall-5', 'hall-6', 'unknown', '--yes', '-f', 'csv'] },
  { args: ['rebuild', '--dry-run', '-f', 'json'] },
  { args: ['rebuild', '--yes', '-f', 'json'] },
  { args: ['list', '--limit', 'all', '-f', 'csv'], compare: 'lines' },
]

describe('in a Cluster, cache-cli prints what it prints with one server:', () => {
  test.each(COMMANDS.map((command) => ({ ...command, name: command.args.join(' ') })))(
    '$name',
    async ({ args, compare = 'text', stdin }) => {
      for (const { redis } of worlds)
        if (args[0] === 'sweep') await redis.sadd('devices', 'ghost-1', 'ghost-2')
      const [onCluster, onServer] = await Promise.all(
        worlds.map(async (world) =>
          normal(await runCliHere(args, envOf(world), { stdin: stdin ?? '' }), world),
        ),
      )
      if (onCluster === undefined || onServer === undefined) throw new Error('no result')
      expect(onCluster.code, onCluster.errors).toBe(onServer.code)
      expect(comparable(onCluster.output, compare)).toEqual(comparable(onServer.output, compare))
      // What takes longer than a moment prints its progress as well.
      const messages = ({ errors }: typeof onServer) => errors.replace(/^records read: .*\n/gm, '')
      if (compare === 'text') expect(messages(onCluster)).toEqual(messages(onServer))
    },
  )

  test('watch', async (context) => {
    const seen = await Promise.all(worlds.map((world) => watched(world, context)))
    expect(seen[0]).toEqual(seen[1])
    expect(seen[0]?.length).toBe(12)
  })
})

/** The devices that `watch` shows as changed. */
async function watched(world: WorkerScenario, context: TestContext): Promise<string[]> {
  const watching = startCliHere(['watch', '-f', 'jsonl'], envOf(world))
  context.onTestFinished(async () => {
    watching.interrupt()
    await watching.ended
  })
  await patiently(() => expect(watching.errors).toContain('Watching'))
  const changed = DEVICES.slice(0, 12)
  // A worker appends hints once it knows that someone listens.
  await patiently(async () => {
    const metadata = { datatype_name: `pressure-${performance.now()}` }
    await world.send(changed.map((deviceId) => update({ deviceId, metadata })))
    for (const id of changed) expect(watching.output).toContain(`"${id}"`)
  })
  return [...new Set(watching.output.match(/"hall-\d+"/g))].sort()
}

function envOf(world: WorkerScenario): Record<string, string> {
  return { ...world.env, METRICS_PORT: '0', STATE_TYPES: 'prices' }
}

/** Without what is different by nature: names, ports, ids, remaining times. */
function normal(
  { code, errors, output }: CliResult,
  { errorTopic, group, topic }: WorkerScenario,
): CliResult {
  const clean = (text: string) =>
    text
      .replaceAll(topic, 'TOPIC')
      .replaceAll(errorTopic, 'ERRORS')
      .replaceAll(group, 'GROUP')
      .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
      .replaceAll(/\b86[34]\d\d\b/g, 'TTL')
      .replaceAll(/\b\d+(\.\d+)? ?m?s\b/g, 'TIME')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'INSTANT')
  return { code, output: clean(output), errors: clean(errors) }
}

function comparable(output: string, compare: NonNullable<Command['compare']>): unknown {
  const lines = output.split('\n')
  if (compare === 'text') return output
  if (compare === 'lines') return [...new Set(lines)].sort()
  return [...new Set(output.match(/"\w+":|^\w+,/gm))].sort()
}

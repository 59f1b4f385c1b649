import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { validDeadLetters, writeDeadLetters } from '../../../../support/processes/dead-letter-scenario.ts'
import { patiently } from '../../../../support/eventually.ts'
import { redisAclOf } from '../../../../support/docs/redis-acl.ts'
import { readTopic } from '../../../../support/records/read-topic.ts'
import { readEverything } from '../../../../support/servers/redis-connection.ts'
import { runCliHere, startCliHere } from '../../../../support/processes/run-cli-here.ts'
import { invalid, update } from '../../../../support/records/tagged-records.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../../../../support/processes/worker-scenario.ts'

const FURTHER_PERMISSIONS = '+getbit +setbit +mget +zrevrange'

/** Dead letters of a real worker: for a blocked key, for invalid JSON, and for a record without a device id. */
async function openWithDeadLetters(context: ScenarioContext): Promise<WorkerScenario> {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const { redis } = scenario
  await redis.set('device:blocked:metadata', 'not a hash')
  await scenario.send([
    update({ deviceId: 'blocked', metadata: { datatype_name: 'temperature' }, requestId: 'request-1' }),
    invalid('not_json', '{"half', 'half'),
    invalid('missing_device_id', '{"metadata":{"x":"=1+1"}}', null),
    update({ deviceId: 'fine' }),
  ])
  const worker = await scenario.startWorker()
  await patiently(async () => expect(await worker.consumed()).toBe(4))
  expect(await worker.stop()).toBe(0)
  return scenario
}

describe('cache-cli errors', () => {
  test('list, stats and show print the dead letters in every format', async (context) => {
    const { env, errorTopic, topic } = await openWithDeadLetters(context)
    const list = await runCliHere(['errors', 'list'], env)
    expect(list.code).toBe(0)
    expect(list.output.split('\n')).toHaveLength(5)
    expect(list.output).toMatch(/^dead_letter +written_at +reason +device_id +source +error\n/)
    expect(list.output).toMatch(/^0:0 +\S+ +wrong_type +blocked +0:0 +WRONGTYPE/m)

    const rows = await runCliHere(['errors', 'list', '--reason', 'not_json', '-f', 'json'], env)
    expect(JSON.parse(rows.output)).toMatchObject([
      { dead_letter: '0:1', reason: 'not_json', device_id: 'half', source_topic: topic, source_offset: 1 },
    ])
    const one = await runCliHere(['errors', 'list', '-n', '1', '-f', 'csv'], env)
    expect(one.output.split('\n')).toHaveLength(3)
    expect(one.errors).toContain('the newest 1 of 3')
    expect((await runCliHere(['errors', 'list', '--until', '1h'], env)).output).not.toContain('0:0')

    const stats = await runCliHere(['errors', 'stats', '-f', 'json', '--top', '1'], env)
    expect(JSON.parse(stats.output)).toMatchObject({
      dead_letters: 3,
      by_reason: [
        { name: 'missing_device_id', count: 1 },
        { name: 'not_json', count: 1 },
        { name: 'wrong_type', count: 1 },
      ],
      by_device: [{ name: 'blocked', count: 1 }],
    })
    const table = await runCliHere(['errors', 'stats'], env)
    expect(table.output).toMatch(/^3 dead letters, from /)
    expect(table.output).toMatch(/^wrong_type +1$/m)

    const shown = await runCliHere(['errors', 'show', '0:0', '-f', 'json'], env)
    expect(JSON.parse(shown.output)).toMatchObject({
      request_id: 'request-1',
      key: 'blocked',
      replayed: 'no',
      original_from: 'the dead letter',
      original: { device_id: 'blocked', metadata: { datatype_name: 'temperature' } },
    })
    const original = await runCliHere(['errors', 'show', '0:1', '--original'], env)
    expect(original.output).toBe('{"half\n')
    expect(await runCliHere(['errors', 'show', '0:9'], env)).toMatchObject({
      code: 3,
      errors: `cache-cli: there is no dead letter ${errorTopic} 0:9: the partition holds 0 to 2\n`,
    })
  })

  test('list reads only the end of the topic unless it needs more', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    await writeDeadLetters(scenario, validDeadLetters(300))
    const { env } = scenario
    const list = async (...args: string[]) => {
      const { errors, output } = await runCliHere(['errors', 'list', '-f', 'json', ...args], env)
      const rows: { dead_letter: string }[] = JSON.parse(output)
      return { errors, deadLetters: rows.map(({ dead_letter }) => dead_letter) }
    }
    const newest = await list('-n', '3')
    expect(newest.deadLetters).toEqual(['0:299', '0:298', '0:297'])
    expect(newest.errors).toBe('showing the newest 3: use --limit for more, or errors stats to count all\n')
    const first = await list('--device', 'd-1')
    expect(first).toEqual({ errors: '', deadLetters: ['0:1'] })
    const all = await list('-n', '200')
    expect(all.deadLetters).toHaveLength(200)
    expect(all.errors).toBe('showing the newest 200 of 300: use --limit for more\n')
  })

  test('replay applies a dead letter once after its cause is fixed, and exits with 1 while any remains invalid', async (context) => {
    const { admin, env, errorTopic, kafka, redis } = await openWithDeadLetters(context)
    const before = await readEverything(redis)
    const dry = await runCliHere(['errors', 'replay', '--dry-run'], env)
    expect(dry).toMatchObject({ code: 1, output: expect.stringMatching(/^still_invalid +3 /m) })
    expect(dry.errors).toContain('0:0 blocked: still_invalid: wrong_type: ')
    expect(await readEverything(redis)).toEqual(before)

    await redis.del('device:blocked:metadata')
    const replayed = await runCliHere(['errors', 'replay', '--reason', 'wrong_type'], env)
    expect(replayed).toMatchObject({ code: 0, output: expect.stringMatching(/^applied +1 /m) })
    expect(await redis.hget('device:blocked:metadata', 'datatype_name')).toBe('temperature')
    expect((await redis.smembers('devices')).sort()).toEqual(['blocked', 'fine'])

    const again = await runCliHere(['errors', 'replay', '-f', 'json'], env)
    expect(again.code).toBe(1)
    expect(JSON.parse(again.output)).toEqual({
      to: 'cache',
      dry_run: false,
      dead_letters: 3,
      failed: 2,
      results: { already_replayed: 1, still_invalid: 2 },
    })
    const shown = await runCliHere(['errors', 'show', '0:0', '-f', 'json'], env)
    expect(JSON.parse(shown.output)).toMatchObject({ replayed: 'yes' })
    expect(await readTopic(kafka, admin, errorTopic)).toHaveLength(3)
  })

  test('the worker reads what replay --to topic sends like any other record', async (context) => {
    const scenario = await openWithDeadLetters(context)
    const { env, redis } = scenario
    await redis.del('device:blocked:metadata')
    const replay = ['errors', 'replay', '--to', 'topic', '--dead-letter', '0:0']
    const unasked = await runCliHere(replay, env)
    expect(unasked).toMatchObject({ code: 5, output: '', errors: expect.stringContaining('use --yes') })
    const declined = await runCliHere(replay, env, { isTerminal: true, stdin: 'n\n' })
    expect(declined).toMatchObject({
      code: 5,
      errors: expect.stringMatching(/Send one record to /),
    })
    const sent = await runCliHere([...replay, '--yes'], env)
    expect(sent).toMatchObject({ code: 0, output: expect.stringMatching(/^sent +1 /m) })
    expect(await redis.exists('device:blocked:metadata')).toBe(0)
    const worker = await scenario.startWorker()
    await patiently(async () => expect(await redis.exists('device:blocked:metadata')).toBe(1))
    expect(await worker.stop()).toBe(0)
  })

  test('operators need exactly the Redis permissions that the documentation lists', async (context) => {
    expect(readFileSync('docs/cli-operations.md', 'utf8')).toContain(`\`${FURTHER_PERMISSIONS}\``)
    const scenario = await openWorkerScenario(context, {
      partitions: 1,
      ownRedis: { aclUsers: { operator: `on >secret ${redisAclOf('worker')} ${FURTHER_PERMISSIONS}` } },
    })
    const { redis, redisServer } = scenario
    const env = { ...scenario.env, REDIS_URL: `redis://operator:secret@127.0.0.1:${redisServer.port}` }
    await scenario.send([update({ deviceId: 'in-topic' })])
    await writeDeadLetters(scenario, validDeadLetters(2))
    await redis.set('cache_service:listening', '1')
    for (const args of [
      ['errors', 'show', '0:0'],
      ['errors', 'replay', '--dry-run'],
      ['errors', 'replay'],
      ['errors', 'replay', '--to', 'topic', '--again', '--yes'],
      ['explain', '--partition', '0', '--offset', '0'],
      ['rebuild', '--yes'],
    ]) {
      expect(await runCliHere(args, env)).toMatchObject({
        code: 0,
        errors: expect.not.stringContaining('Redis does not answer'),
      })
    }
    expect(await redis.acl('LOG')).toEqual([])
  })

  test('explain reads the output of show --original', async (context) => {
    const { env } = await openWithDeadLetters(context)
    const { output } = await runCliHere(['errors', 'show', '0:0', '--original'], env)
    const explained = await runCliHere(['explain', '-', '-f', 'json'], env, { stdin: output })
    expect(JSON.parse(explained.output)).toMatchObject({ verdict: 'update', outcome: 'wrong_type' })
  })

  test('an invalid filter exits with 2', async () => {
    for (const args of [
      ['--since', 'yesterday'],
      ['--reason', 'bad_luck'],
      ['--dead-letter', '1-2'],
      ['--to', 'nowhere'],
    ]) {
      const { code, errors } = await runCliHere(['errors', 'replay', ...args])
      expect(code).toBe(2)
      expect(errors).toContain(args[0])
    }
  })
})

describe('cache-cli explain', () => {
  test('shows the verdict and the hash of a record of the topic, and the difference to Redis', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const { env, redis } = scenario
    await scenario.send([update({ deviceId: 'one', metadata: { datatype_name: 'new' } })])
    await redis.hset('device:one:metadata', {
      last_updated: '2020-01-01T00:00:00.000000+00:00',
      datatype_name: 'old',
      gone: 'soon',
    })
    const before = await readEverything(redis)
    const at = ['explain', '--partition', '0', '--offset', '0']
    const { code, output } = await runCliHere(at, env)
    expect(code).toBe(0)
    expect(output).toContain('record 0:0, device one')
    expect(output).toContain('valid: an update of the device')
    expect(output).toContain('changed: it would be stored')
    expect(output).toContain('~ datatype_name = "new", was "old"')
    expect(output).toContain('+ persist = "true"')
    expect(output).toContain('- gone = "soon"')
    expect(await readEverything(redis)).toEqual(before)
    const json = JSON.parse((await runCliHere([...at, '-f', 'json', '--no-redis'], env)).output)
    expect(json).toMatchObject({
      verdict: 'update',
      planned: { datatype_name: 'new' },
      present: null,
      outcome: null,
    })
    expect(await runCliHere(['explain', '--partition', '0', '--offset', '1'], env)).toMatchObject({
      code: 3,
      errors: expect.stringContaining('the partition ends at 1'),
    })
  })

  const offline = (stdin: string | Buffer, ...args: string[]) =>
    runCliHere(['explain', '--no-redis', '-f', 'json', ...args], {}, { stdin })

  test('reads one record of several lines, or one record per line, from stdin or a file', async (context) => {
    const pretty = await offline('{\n "device_id": "a",\n "metadata": {}\n}\n')
    expect(JSON.parse(pretty.output)).toMatchObject({ record: '1', verdict: 'update', device_id: 'a' })
    const lines = await offline('{"device_id":"a","metadata":{}}\r\n\n{"device_id":"b"}\n{')
    expect(JSON.parse(lines.output)).toMatchObject([
      { record: '1', verdict: 'update' },
      { record: '3', verdict: 'skipped' },
      { record: '4', verdict: 'rejected', reason: 'not_json' },
    ])
    const path = `${(await import('node:os')).tmpdir()}/explain-${process.pid}.bin`
    await writeFile(path, Buffer.from([0xff, 0xfe]))
    context.onTestFinished(async () => await (await import('node:fs/promises')).rm(path))
    expect(JSON.parse((await offline('', path)).output)).toMatchObject({ reason: 'not_utf8' })
  })

  test.each([
    ['a valid record', '{"device_id":"a","metadata":{}}', 0],
    ['a record without metadata', '{"device_id":"a"}', 0],
    ['an invalid record', '{"device_id":""}', 6],
    ['an invalid record among valid ones', '{"device_id":"a"}\nhello\n{"device_id":"b"}', 6],
  ])('exits with 6 if a record is invalid: %s', async (_, input, code) => {
    expect(await offline(input)).toMatchObject({ code })
  })

  test('exits with 6 if Redis would reject the record', async (context) => {
    const { env, redis } = await openWorkerScenario(context, { partitions: 1 })
    await redis.rpush('device:a:metadata', 'of another program')
    const { code, output } = await runCliHere(['explain'], env, { stdin: '{"device_id":"a","metadata":{}}' })
    expect(output).toContain('wrong_type')
    expect(code).toBe(6)
  })

  test('compares many records, in their order, and counts the invalid ones', async (context) => {
    const { env } = await openWorkerScenario(context, { partitions: 1 })
    const lines = Array.from({ length: 2_000 }, (_, i) =>
      i % 100 === 0 ? 'hello' : `{"device_id":"d${i}","metadata":{}}`,
    )
    const { code, errors, output } = await runCliHere(['explain', '-f', 'jsonl'], env, {
      stdin: lines.join('\n'),
    })
    expect(code).toBe(6)
    expect(errors).toContain('20 of 2000 records are invalid')
    const rows = output
      .trimEnd()
      .split('\n')
      .map((line): { record: string } => JSON.parse(line))
    expect(rows.map(({ record }) => record)).toEqual(lines.map((_, i) => String(i + 1)))
  })

  test('says what the file is, once, if it is not a file of records', async () => {
    const { errors, output } = await offline('[\n {"device_id":"a"},\n {"device_id":"b"}\n]\n')
    expect(JSON.parse(output)).toMatchObject({ record: '1', verdict: 'rejected' })
    expect(errors).toMatch(/^warning: record 1: it is a list, .* split it \(jq -c '\.\[\]'\)\n$/)
  })

  test('accepts every sample of the normalizer', async () => {
    const { code, output } = await runCliHere(
      ['explain', '--no-redis', '-f', 'json', 'test/fixtures/validated-output.jsonl'],
      { METADATA_EXTRA_FIELDS: '*' },
    )
    expect(code).toBe(0)
    const rows: { verdict: string }[] = JSON.parse(output)
    expect(rows.length).toBeGreaterThan(40)
    expect(new Set(rows.map(({ verdict }) => verdict))).toEqual(new Set(['update', 'skipped']))
  })

  test('uses the given key and timestamp of a record', async () => {
    const tombstone = await offline('', '--tombstone', '--key', 'one', '--timestamp', '2025-06-08T18:00:00Z')
    expect(JSON.parse(tombstone.output)).toMatchObject({
      verdict: 'tombstone',
      device_id: 'one',
      deletes_up_to: '2025-06-08T18:05:00.000000+00:00',
    })
    const old = await offline('{"device_id":"a","metadata":{}}', '--timestamp', '1749405600000')
    expect(JSON.parse(old.output)).toMatchObject({
      verdict: 'expired',
      record_time: '2025-06-08T18:00:00.000000+00:00',
      expires_at: '2025-06-09T18:00:00.000000+00:00',
    })
  })

  test.each([
    [['--partition', '0'], 'must be used together'],
    [['--partition', '0', '--offset', '1', 'file'], 'not both'],
    [['/nowhere/at/all'], "can't be read"],
    [['-'], 'the input is empty'],
    [['--timestamp', 'noon'], 'ISO 8601'],
  ])('exits with 2 for the arguments %j', async (args, message) => {
    const { code, errors } = await runCliHere(['explain', ...args, '--no-redis'])
    expect(errors).toContain(message)
    expect(code).toBe(2)
  })

  test('exits with 2 instead of waiting for input on a terminal', async () => {
    const { code, errors } = await startCliHere(['explain'], {}, { isTerminal: true }).ended
    expect(code).toBe(2)
    expect(errors).toContain('name a file')
  })
})

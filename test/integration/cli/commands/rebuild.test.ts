import { describe, expect, test } from 'vitest'
import { startCliProcess } from '../../../support/processes/cli-process.ts'
import { eventually, patiently } from '../../../support/eventually.ts'
import { runCliHere } from '../../../support/processes/run-cli-here.ts'
import { update } from '../../../support/records/tagged-records.ts'
import { openWorkerScenario, type ScenarioContext } from '../../../support/processes/worker-scenario.ts'
import { workerReport } from '../../../support/records/worker-report.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import { lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

const DEVICES = 40

/** A worker that has caught up, and reports. */
async function openFilled(context: ScenarioContext) {
  const scenario = await openWorkerScenario(context, { partitions: 3 })
  const { admin, env, group, redis, send, startWorker, topic } = scenario
  await scenario.send(Array.from({ length: DEVICES }, (_, i) => update({ deviceId: `d-${i}` })))
  const worker = await scenario.startWorker()
  await patiently(async () => expect(await redis.scard('devices')).toBe(DEVICES))
  await worker.ready()
  await patiently(async () => expect(await redis.keys('cache_service:{workers}:report:*')).toHaveLength(1))
  const run = (...args: string[]) => runCliHere(['rebuild', ...args], env)
  return { admin, env, group, redis, run, send, startWorker, topic, worker }
}

// Each test starts a worker, all at once.
describe.concurrent('cache-cli rebuild', { timeout: 120_000 }, () => {
  test('restores what Redis has lost, and waits until the cache is complete', async (context) => {
    const { group, redis, run } = await openFilled(context)
    await redis.del(...Array.from({ length: 10 }, (_, i) => `device:d-${i}:metadata`))
    const { code, errors, output } = await run('--yes')
    expect(code).toBe(0)
    expect(output).toMatch(/^partition +progress +earliest +end +records +oldest_record\n/)
    expect(errors).toContain(`read by the group ${group}; one worker is reporting`)
    expect(errors).toContain(`the cache is complete again: ${DEVICES} records read, ${DEVICES} devices`)
    expect(await redis.keys('device:d-*')).toHaveLength(DEVICES)
  })

  test('shows in its plan what would be read and which devices are out of reach', async (context) => {
    const { admin, redis, run, topic } = await openFilled(context)
    const bounds = await admin.fetchTopicOffsets(topic)
    await redis.pexpire('device:d-1:metadata', 3_600_000) // as if its last record were almost a day old
    const { code, output } = await run('--dry-run', '-f', 'json')
    expect(code).toBe(0)
    expect(JSON.parse(output)).toMatchObject({
      topic,
      workers: 1,
      devices: DEVICES,
      devices_out_of_reach: 1,
      partitions: bounds
        .map(({ partition, low, high }) => ({
          partition,
          progress: Number(high),
          earliest: Number(low),
          end: Number(high),
        }))
        .toSorted((a, b) => a.partition - b.partition),
    })
  })

  test('never shows progress beyond the end while records arrive', async (context) => {
    const { run, send } = await openFilled(context)
    const stopped = new AbortController()
    const sending = (async () => {
      while (!stopped.signal.aborted)
        await send(Array.from({ length: 9 }, (_, i) => update({ deviceId: `d-${i}` })))
    })()
    try {
      const { code, output } = await run('--dry-run', '-f', 'json')
      expect(code).toBe(0)
      const { partitions }: { partitions: { progress: number; end: number }[] } = JSON.parse(output)
      expect(partitions).toHaveLength(3)
      for (const { end, progress } of partitions) expect(progress).toBeLessThanOrEqual(end)
    } finally {
      stopped.abort()
      await sending
    }
  })

  test('does nothing unless it is confirmed', async (context) => {
    const { env, group, redis, run, topic } = await openFilled(context)
    const progress = await redis.hgetall(progressKey(group, topic))
    expect(Object.keys(progress)).toHaveLength(3)
    expect(await run()).toMatchObject({ code: 5, errors: expect.stringContaining('use --yes') })
    const denied = await runCliHere(['rebuild'], env, { stdin: 'n\n', isTerminal: true })
    expect(denied).toMatchObject({ code: 5, errors: expect.stringContaining('nothing was done') })
    expect(await redis.hgetall(progressKey(group, topic))).toEqual(progress)
    const confirmed = await runCliHere(['rebuild', '--no-wait'], env, { stdin: 'y\n', isTerminal: true })
    expect(confirmed).toMatchObject({ code: 0, errors: expect.stringContaining('the rebuild has started') })
  })

  test('continues after Ctrl-C has ended the waiting', async (context) => {
    const { env, group, redis, topic, worker } = await openFilled(context)
    worker.kill('SIGSTOP')
    await redis.del('device:d-1:metadata')
    const running = startCliProcess(['rebuild', '--yes'], env)
    await patiently(async () => expect(await redis.hget(progressKey(group, topic), '0')).toBeNull())
    running.kill('SIGINT')
    const code = await running.exit
    worker.kill('SIGCONT')
    expect(code).toBe(130)
    expect(running.errors).toContain('the rebuild continues without cache-cli')
    await patiently(async () => expect(await redis.exists('device:d-1:metadata')).toBe(1))
  })

  test('does not wait for workers of another topic or group', async (context) => {
    const { env, group, redis, run, topic, worker } = await openFilled(context)
    await worker.stop()
    for (const [id, other] of [
      ['a', { group, topic: 'other' }],
      ['b', { group: 'other', topic }],
    ] as const)
      await lastingWorkerReporter(redis, id).write(workerReport({ id, ...other }))
    const plan: unknown = JSON.parse((await runCliHere(['rebuild', '--dry-run', '-f', 'json'], env)).output)
    expect(plan).toMatchObject({ workers: 0 })
    expect(await run('--yes')).toMatchObject({
      code: 0,
      errors: expect.stringContaining('no worker of this group is reporting'),
    })
  })

  test('does not wait if no worker is reporting, and starts when a worker does', async (context) => {
    const { redis, run, startWorker, worker } = await openFilled(context)
    await worker.stop()
    await redis.del('device:d-1:metadata')
    expect(await run('--yes')).toMatchObject({
      code: 0,
      errors: expect.stringContaining('no worker of this group is reporting'),
    })
    await startWorker()
    await eventually(async () => expect(await redis.exists('device:d-1:metadata')).toBe(1), {
      timeoutMs: 60_000,
    })
  })
})

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openLoadedWorker } from '../support/faults/loaded-worker.ts'
import { startFlags } from '../support/processes/service-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startWorker } from '../support/processes/worker-process.ts'
import { update } from '../support/records/tagged-records.ts'
import { repository } from '../support/repository.ts'
import { reservePort } from '../support/servers/free-port.ts'

const run = promisify(execFile)

const peakMemoryMiB = (pid: number) =>
  Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)

describe('the process of a worker', () => {
  test('with little memory applies hundreds of megabytes of large records', async (context) => {
    const report = reportFault(context, 'H1')
    const scenario = await openWorkerScenario(context, { partitions: 8 })
    const large = Array.from({ length: 16 }, (_, i) =>
      update({ deviceId: `large-${i}`, metadata: { datatype_name: 'x', blob: `${i}`.repeat(400_000) } }),
    )
    for (let times = 0; times < 20; times++) await scenario.send(large)
    const megabytes = Math.round(
      scenario.oracle.records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0) / 1_000_000,
    )
    const nodeFlags = [...startFlags(), '--max-old-space-size=128']
    const worker = await startWorker(scenario.env, { folder: repository, nodeFlags })
    context.onTestFinished(() => worker.kill('SIGKILL'))
    await scenario.oracle.assertCaughtUp({ consumed: () => worker.consumed() }, 120_000)
    await worker.ready()
    report.saw(
      `a heap of 128 MiB, ${megabytes} MB in ${large.length * 20} records: all applied, ${peakMemoryMiB(worker.pid)} MiB resident at most`,
    )
    expect(await worker.stop()).toBe(0)
  })

  test('continues when nothing reads its log, and exits in time', async (context) => {
    const report = reportFault(context, 'H2')
    const scenario = await openWorkerScenario(context)
    const { port, release } = await reservePort()
    context.onTestFinished(release)
    // A line per record: far more than a pipe holds.
    const env = { ...scenario.env, CHUNK_MAX_RECORDS: '1', METRICS_PORT: String(port) }
    const child = spawn(process.execPath, [...startFlags(), 'cache-service/main.ts', 'worker'], {
      cwd: repository,
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    context.onTestFinished(() => void child.kill('SIGKILL'))
    child.stdout.pause()
    const isReady = async () => {
      expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
    }
    await scenario.sendFleet(5_000, { seed: 1, devices: 100 })
    await scenario.oracle.assertCaughtUp({}, 120_000)
    await patiently(isReady)
    const exit = once(child, 'exit')
    const stoppedAt = performance.now()
    child.kill('SIGTERM')
    expect(await exit).toEqual([0, null])
    const stoppedAfterMs = Math.round(performance.now() - stoppedAt)
    let read = ''
    for await (const text of child.stdout.setEncoding('utf8')) read += text
    const lines = read.split('\n').filter((line) => line.includes('"chunk applied"')).length
    // Otherwise the pipe was never full.
    expect(lines).toBeLessThan(scenario.oracle.produced)
    report.saw(
      `5,000 records applied while the pipe was full; SIGTERM: exit code 0 after ${stoppedAfterMs} ms`,
    )
  })

  test('without a free file descriptor holds, and reconnects when there are some again', async (context) => {
    const report = reportFault(context, 'H3')
    const loaded = await openLoadedWorker(context)
    const { scenario, worker } = loaded
    const limit = (descriptors: string) => run('prlimit', [`--pid=${worker.pid}`, `--nofile=${descriptors}`])
    // Descriptors that are open stay open.
    await limit('10:')
    await scenario.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await patiently(() => expect(worker.output).toMatch(/EMFILE/))
    const committed = await patiently(async () => {
      const before = await scenario.oracle.committed()
      await sleep(2_000)
      expect(await scenario.oracle.committed()).toEqual(before)
      return before
    })
    await sleep(3_000)
    expect(worker.isRunning).toBe(true)
    expect(await scenario.oracle.committed()).toEqual(committed)
    report.saw('alive, holds, nothing committed, the log says EMFILE')
    await limit('1024:')
    await loaded.recovers(report)
  })

  test('whose event loop was blocked, or that was frozen, raises no alarm and goes on', async (context) => {
    const report = reportFault(context, 'H4')
    const loop = fileURLToPath(new URL('../support/processes/blockable-loop.ts', import.meta.url))
    const loaded = await openLoadedWorker(context, { env: { NODE_OPTIONS: `--import ${loop}` } })
    const { worker } = loaded
    worker.kill('SIGUSR2')
    await patiently(() => expect(worker.output).toContain('the event loop was blocked'))
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    worker.kill('SIGSTOP')
    await sleep(5_000)
    worker.kill('SIGCONT')
    await loaded.recovers(report)
    report.saw('blocked for 5 s: then /livez 200; frozen for 5 s: goes on')
    expect(worker.logLines().filter(({ level }) => level === 'error')).toEqual([])
    expect(worker.output).not.toContain('Redis lost data')
    expect(worker.output).not.toContain('"reason":"stalled"')
  })
})

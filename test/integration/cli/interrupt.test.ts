import { createServer } from 'node:net'
import { expect, test, vi } from 'vitest'
import { startCliProcess } from '../../support/processes/cli-process.ts'
import { patiently } from '../../support/eventually.ts'
import { validDeadLetters, writeDeadLetters } from '../../support/processes/dead-letter-scenario.ts'
import { readTopic } from '../../support/records/read-topic.ts'
import { runCliProcess } from '../../support/processes/run-program.ts'
import { openWorkerScenario, type ScenarioContext } from '../../support/processes/worker-scenario.ts'

const DEAD_LETTERS = 300

// They run at once, each with processes of its own.
vi.setConfig({ testTimeout: 120_000 })

/** Dead letters whose records are not in the topic, and a Redis whose writes can be paused. */
async function openWithDeadLetters(context: ScenarioContext) {
  const scenario = await openWorkerScenario(context, {
    partitions: 1,
    ownRedis: {},
    env: { REDIS_TIMEOUT_S: '20', KAFKA_SESSION_TIMEOUT_S: '30' },
  })
  await writeDeadLetters(scenario, validDeadLetters(DEAD_LETTERS))
  return scenario
}

test.concurrent.for([
  ['cache', 'applied'],
  ['topic', 'sent'],
] as const)(
  'Ctrl-C during a replay to the %s finishes and counts the current dead letters, and the next replay does the rest',
  async ([to, result], context) => {
    const { admin, env, kafka, redis, topic } = await openWithDeadLetters(context)
    await redis.call('CLIENT', 'PAUSE', '20000', 'WRITE')
    const running = startCliProcess(['errors', 'replay', '--yes', '--to', to], env)
    await patiently(async () => expect(await redis.client('LIST')).toMatch(/name=cache-cli\S* .*flags=b/))
    running.kill('SIGINT')
    await redis.call('CLIENT', 'UNPAUSE')
    expect(await running.exit).toBe(130)
    expect(running.output).toBe('')
    const done = Number(
      new RegExp(`^interrupted after ${result} (\\d+): run the command again`, 'm').exec(running.errors)?.[1],
    )
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(DEAD_LETTERS)

    const rest = await runCliProcess(['errors', 'replay', '--yes', '--to', to, '-f', 'json'], env)
    expect(rest.code).toBe(0)
    expect(JSON.parse(rest.output)).toMatchObject({
      results: { [result]: DEAD_LETTERS - done, already_replayed: done },
    })
    if (to === 'cache') expect(await redis.scard('devices')).toBe(DEAD_LETTERS)
    else {
      const keys = (await readTopic(kafka, admin, topic)).map(({ key }) => String(key))
      expect(keys).toHaveLength(DEAD_LETTERS)
      expect(new Set(keys).size).toBe(DEAD_LETTERS)
    }
  },
)

test.concurrent('a reader that closes the pipe ends a list without an error', async (context) => {
  const { env } = await openWithDeadLetters(context)
  const running = startCliProcess('cache-cli errors list -n 1000 -f json | head -1', env)
  expect(await running.exit).toBe(0)
  expect(running).toMatchObject({ output: '[\n', errors: '' })
})

test.concurrent('the doctor exits with 4 if no server can be reached', async () => {
  const { code, errors, output } = await runCliProcess(['doctor', '-f', 'json'], {
    KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1,no-such-host.invalid:9092',
    REDIS_HOST: '127.0.0.1',
    REDIS_PORT: '1',
    METRICS_PORT: '0',
  })
  expect(code).toBe(4)
  expect(errors).toMatch(/^failed: 3, /)
  expect(JSON.parse(output)).toHaveLength(8)
})

test.concurrent('the doctor times out if servers accept connections but do not answer', async (context) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  context.onTestFinished(() => void silent.close())
  await new Promise((resolve) => silent.once('listening', resolve))
  const address = silent.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const { code, output } = await runCliProcess(['doctor', '-f', 'csv'], {
    KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${port}`,
    REDIS_HOST: '127.0.0.1',
    REDIS_PORT: port,
    METRICS_PORT: '0',
  })
  expect(code).toBe(1)
  expect(output).toMatch(/^failed,kafka,login,timed out/m)
  expect(output).toMatch(/^failed,redis,login,.*timed? ?out/im)
})

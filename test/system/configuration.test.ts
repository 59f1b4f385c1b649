import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { runProgram } from '../support/processes/run-program.ts'
import { reportFault } from '../support/faults/fault-test.ts'

test('all invalid settings are printed at once with their descriptions, without secrets, and the exit code is 2', async (context) => {
  const report = reportFault(context, 'H6')
  const { code, output, errors } = await runProgram(['worker'], {
    KAFKA_BOOTSTRAP_SERVERS: 'no port',
    KAFKA_SESSION_TIMEOUT_S: 'long',
    KAFKA_SASL_PASSWORD: 'first-secret',
    REDIS_URL: 'http://user:second-secret@redis:6379',
    REDIS_PORT: '70000',
    REDIS_METADATA_TTL: '-1',
    METADATA_EXTRA_FIELDS: 'last_updated',
    LOG_LEVEL: 'LOUD',
    METRICS_PORT: '',
    REDIS_HOTS: 'no-option',
  })
  expect(code).toBe(2)
  const paragraphs = errors.split('\n\n')
  expect(paragraphs[0]).toBe(
    'warning: REDIS_HOTS is not an option; did you mean REDIS_HOST?\n8 settings are invalid:',
  )
  const reported = paragraphs.slice(1).map((paragraph) => /^\w+/.exec(paragraph)?.[0])
  expect(reported.toSorted()).toEqual([
    'KAFKA_BOOTSTRAP_SERVERS',
    'KAFKA_SASL_PASSWORD',
    'KAFKA_SESSION_TIMEOUT_S',
    'LOG_LEVEL',
    'METADATA_EXTRA_FIELDS',
    'REDIS_METADATA_TTL',
    'REDIS_PORT',
    'REDIS_URL',
  ])
  for (const paragraph of paragraphs.slice(1)) expect(paragraph).toMatch(/\n {2}Description: .+\n {2}Fix: /)
  expect(output + errors).not.toContain('secret')
  report.saw('8 wrong settings: all reported at once, exit code 2')
})

test('a port that is in use is reported as an error of the setting that names it', async ({
  onTestFinished,
}) => {
  const occupant = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void occupant.close())
  await once(occupant, 'listening')
  const address = occupant.address()
  const port = typeof address === 'object' && address !== null ? String(address.port) : ''
  const { code, output } = await runProgram(['worker'], { METRICS_PORT: port, REDIS_HOST: '127.0.0.1' })
  expect(code).toBe(2)
  expect(output).toMatch(new RegExp(`METRICS_PORT 127.0.0.1:${port}.*EADDRINUSE`))
})

test('an unknown role is rejected with exit code 2, and --version and --help exit with 0', async () => {
  expect(await runProgram(['wroker'], {})).toMatchObject({
    code: 2,
    errors: expect.stringContaining('wroker'),
  })
  expect(await runProgram(['--version'], {})).toMatchObject({
    code: 0,
    output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  })
  expect(await runProgram(['--help'], {})).toMatchObject({
    code: 0,
    output: expect.stringContaining('Exit codes'),
  })
})

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { runCommand } from '../support/processes/run-command.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { readTopic } from '../support/records/read-topic.ts'
import { update } from '../support/records/tagged-records.ts'
import { repository } from '../support/repository.ts'

// `make tracing`: what docs/tracing.md says, with real processes. It installs the packages of deploy/tracing from the registry,
// which is why it is not part of `make test`.

const folder = join(repository, '.cache', 'tracing')
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  for (const file of ['package.json', 'tracing.mjs'])
    cpSync(join(repository, 'deploy', 'tracing', file), join(folder, file))
  const background = readFileSync(join(folder, 'tracing.mjs'), 'utf8').replace(
    'requireParentSpan: true',
    'requireParentSpan: false',
  )
  writeFileSync(join(folder, 'background.mjs'), background)
  const args = ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  const { code, stderr } = await runCommand('npm', args, { cwd: folder, timeoutMs: 300_000 })
  if (code !== 0) throw new Error(`npm install in deploy/tracing failed: ${stderr}`)
}, 310_000)

const exported = z.object({
  resourceSpans: z.array(
    z.object({
      scopeSpans: z.array(
        z.object({
          scope: z.object({ name: z.string() }),
          spans: z.array(
            z.object({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              attributes: z.array(z.object({ key: z.string(), value: z.looseObject({}) })),
            }),
          ),
        }),
      ),
    }),
  ),
})
type Span = z.output<typeof exported>['resourceSpans'][number]['scopeSpans'][number]['spans'][number] & {
  readonly scope: string
}

/** Receives OTLP over HTTP, as JSON. */
async function startCollector(context: ScenarioContext) {
  const spans: Span[] = []
  const receive: RequestListener = async (request, response) => {
    const { resourceSpans } = exported.parse(JSON.parse(await text(request)))
    for (const { scope, spans: some } of resourceSpans.flatMap(({ scopeSpans }) => scopeSpans))
      spans.push(...some.map((span) => ({ ...span, scope: scope.name })))
    response.setHeader('content-type', 'application/json').end('{}')
  }
  const server = createServer(receive)
  const listening = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  context.onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const env = (file: 'tracing.mjs' | 'background.mjs') => ({
    NODE_OPTIONS: `--import=${join(folder, file)}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${address.port}`,
    OTEL_BSP_SCHEDULE_DELAY: '200',
  })
  return { spans, env }
}

const isRedis = ({ scope }: Span) => scope.endsWith('instrumentation-ioredis')

test('a request to the API is a span of its caller’s trace, and what it asks of Redis is below it', async (context) => {
  const { env, spans } = await startCollector(context)
  const scenario = await openWorkerScenario(context)
  await (await scenario.startWorker()).ready()
  await scenario.send([update({ deviceId: 'd1' })])
  await patiently(async () => expect(await scenario.redis.exists('device:d1:metadata')).toBe(1))
  const api = await startRoleProcess('api', { ...scenario.env, ...env('tracing.mjs') })
  context.onTestFinished(async () => expect(await api.stop()).toBe(0))
  await becomesReady(api)
  const response = await fetch(`${api.apiUrl}/api/devices/d1`, { headers: { traceparent: TRACEPARENT } })
  expect(response.status).toBe(200)
  await patiently(() => {
    const own = spans.filter(({ traceId }) => traceId === TRACE_ID)
    const request = own.find(({ scope }) => scope.endsWith('instrumentation-http'))
    expect(request).toMatchObject({ name: 'GET', parentSpanId: 'b7ad6b7169203331' })
    expect(own.filter(isRedis).map(({ parentSpanId }) => parentSpanId)).toContain(request?.spanId)
  })
  // Probes and what runs in the background belong to no trace.
  await becomesReady(api)
  expect(spans.filter(({ traceId }) => traceId !== TRACE_ID)).toEqual([])
})

test('a dead letter carries the traceparent of its record; the worker has spans of Redis only, without that of the record', async (context) => {
  const { env, spans } = await startCollector(context)
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const { admin, errorTopic, kafka, redis, topic } = scenario
  const worker = await scenario.startWorker(env('background.mjs'))
  await worker.ready()
  const producer = kafka.producer()
  await producer.connect()
  const headers = { traceparent: TRACEPARENT }
  const [{ key, value }] = [update({ deviceId: 'd1' })] as const
  await producer.send({
    topic,
    messages: [
      { key, value, headers },
      { value: 'not JSON', headers },
    ],
  })
  await producer.disconnect()
  await patiently(async () => expect(await redis.exists('device:d1:metadata')).toBe(1))
  await patiently(async () => {
    const [deadLetter] = await readTopic(kafka, admin, errorTopic)
    expect(String(deadLetter?.headers['traceparent'])).toBe(TRACEPARENT)
  })
  await patiently(() => expect(spans.filter(isRedis).map(({ name }) => name)).toContain('evalsha'))
  expect(await worker.stop()).toBe(0)
  // KafkaJS is a private copy, which no instrumentation can find: docs/tracing.md says so.
  expect(spans.filter(({ scope }) => scope.includes('kafka'))).toEqual([])
  expect(spans.filter(({ traceId }) => traceId === TRACE_ID)).toEqual([])
})

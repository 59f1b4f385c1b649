import { getEventListeners } from 'node:events'
import { expect, inject, test } from 'vitest'
import { createKafka } from '../../../cache-service/kafka/client.ts'
import type { FetchIntake } from '../../../cache-service/kafka/fetch-handler.ts'
import { WorkerConsumer } from '../../../cache-service/kafka/worker-consumer.ts'
import { parseConfig } from '../../../cache-service/config/config.ts'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { createWorkerTelemetry } from '../../../cache-service/telemetry/worker-telemetry.ts'
import { createCollectedLog } from '../../support/collected-log.ts'
import { patiently } from '../../support/eventually.ts'
import { parseMetrics } from '../../support/processes/parse-metrics.ts'
import { uniqueName } from '../../support/test-scope.ts'

const clocks = { now: () => Date.now(), monotonicNow: () => performance.now() }

const idleIntake: FetchIntake = {
  assigned: () => undefined,
  roomOf: () => 'room',
  offer: () => true,
  held: new Map(),
  areAllHeldPaused: false,
  uncommitted: () => new Map(),
  committed: () => undefined,
  stop: async () => undefined,
}

test('a consumer that is replaced leaves nothing behind', async () => {
  const topic = uniqueName('missing')
  const parsed = parseConfig(
    {
      KAFKA_BOOTSTRAP_SERVERS: inject('kafkaBrokers').join(','),
      KAFKA_VALIDATED_DATA_TOPIC: topic,
      KAFKA_CONSUMER_GROUP_ID: uniqueName('group'),
    },
    () => '',
  )
  if (parsed.kind === 'invalid') throw new Error('the settings of this test are invalid')
  const config = parsed.config.kafka
  const { log } = createCollectedLog('info')
  const metrics = createProcessMetrics('0', '0', 'worker')
  const telemetry = createWorkerTelemetry(log, metrics, topic, config.groupId, clocks)
  const consumer = new WorkerConsumer({
    kafka: createKafka(config, log),
    config,
    intake: idleIntake,
    assigned: () => undefined,
    revoked: () => undefined,
    telemetry,
    monitor: new LoopMonitor(clocks.monotonicNow),
    monotonicNow: clocks.monotonicNow,
    random: () => 0,
  })
  const stop = new AbortController()
  const running = consumer.run(stop.signal)
  // The number of listeners on the signal that outlives all consumers.
  const listenersAfter = async (lives: number) => {
    await patiently(async () => {
      const restarts = parseMetrics(await metrics.registry.metrics()).find(
        ({ labels, name }) =>
          name === 'cache_service_consumer_restarts_total' && labels['reason'] === 'connect_failed',
      )
      expect(restarts?.value).toBeGreaterThanOrEqual(lives)
    })
    return getEventListeners(stop.signal, 'abort').length
  }
  const first = await listenersAfter(1)
  expect(await listenersAfter(5)).toBeLessThanOrEqual(first + 1)
  stop.abort()
  await running
})

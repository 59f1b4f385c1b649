import { expect, onTestFinished, test } from 'vitest'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { createTopic } from '../support/test-scope.ts'

test('the first commands on a new broker wait until it has loaded its groups', async () => {
  const kafka = await startOwnKafka()
  onTestFinished(() => kafka.stop())
  const topic = 'iot_validated_data'
  await createTopic(kafka.brokers, topic)
  const groups = Array.from({ length: 20 }, (_, i) => `group-${i}`)
  const ended = await Promise.all(
    groups.map((group) =>
      runCliHere(['lag', '-f', 'json'], {
        KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
        KAFKA_CONSUMER_GROUP_ID: group,
        REDIS_HOST: '127.0.0.1',
        REDIS_PORT: '1',
      }),
    ),
  )
  expect(ended.filter(({ code }) => code !== 0)).toEqual([])
})

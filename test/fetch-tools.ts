// What the tests need from registries besides npm's packages, fetched once into .cache/: Kafka's jars (Maven) and the
// Python original of the Redis library (pip). `make test` runs this first, so that no test depends on how fast a
// registry answers. A test that is run without it fetches what it needs by itself.
import { messageOf } from '../shared/errors.ts'
import { fetchPythonSdk } from './support/processes/python-sdk.ts'
import { fetchKafkaJars } from './support/servers/kafka-jars.ts'

const outcomes = await Promise.allSettled([fetchKafkaJars(), fetchPythonSdk()])
for (const outcome of outcomes) {
  if (outcome.status === 'fulfilled') continue
  const { reason }: { reason: unknown } = outcome
  console.error(`make: ${messageOf(reason)}`)
  process.exitCode = 1
}

// What the tests need from registries besides npm's packages, fetched once into .cache/: Kafka's jars (Maven), the Python
// original of the Redis library (pip), and the oldest Node.js that the libraries support, if it is not in PATH (npm). `make test` runs this first, so that no test depends on how fast a
// registry answers. A test that is run without it fetches what it needs by itself.
import { messageOf } from '../shared/errors.ts'
import { findOldestNode } from './support/processes/oldest-node.ts'
import { fetchPythonSdk } from './support/processes/python-sdk.ts'
import { fetchKafkaJars } from './support/servers/kafka-jars.ts'

const outcomes = await Promise.allSettled([fetchKafkaJars(), fetchPythonSdk(), findOldestNode()])
for (const outcome of outcomes) {
  if (outcome.status === 'fulfilled') continue
  const { reason }: { reason: unknown } = outcome
  console.error(`make: ${messageOf(reason)}`)
  process.exitCode = 1
}
// The last line is the total, as in test/run-all.ts, which make does not start then.
if (process.exitCode === 1) console.log('0 passed, 1 failed')

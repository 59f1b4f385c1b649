import * as fc from 'fast-check'
import { inject, test } from 'vitest'
import { Comparison, type Request } from './kafka-comparison.ts'
import { connectClients, MEMBERS, PARTITIONS, realServer, simulatedServer } from './kafka-servers.ts'

const NOW_MS = Date.now()

const partition = fc.nat(PARTITIONS - 1)
const member = fc.constantFrom(...MEMBERS)
const generationsAgo = fc.constantFrom(0, 0, 0, 1)
const record = fc.record({
  key: fc.option(fc.constantFrom('k', 'key')),
  value: fc.option(fc.constantFrom('', 'value', 'a value of more bytes, so that fewer are in a fetch')),
  timestampMs: fc.constantFrom(NOW_MS, NOW_MS - 1, NOW_MS - 100_000),
})
// KafkaJS takes the earliest time for that of the batch, and the others relative to it.
const records = fc
  .array(record, { minLength: 1, maxLength: 4 })
  .map((batch) => batch.toSorted((a, b) => a.timestampMs - b.timestampMs))
const request: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('produce'), partition, records }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('transaction'), partition, records, isCommitted: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('delete_records'),
      partition,
      percent: fc.constantFrom(30, 60, 100),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('join'), member }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave'), member }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('heartbeat'), member, generationsAgo }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('commit'),
      member,
      generationsAgo,
      partition,
      offset: fc.integer({ min: -1, max: 20 }),
    }),
  },
)

test('the simulated Kafka answers any list of requests as a broker does', { timeout: 600_000 }, async () => {
  const clients = await connectClients(inject('kafkaBrokers'))
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 5, maxLength: 30, size: 'max' }), async (requests) => {
        const real = await realServer(clients)
        try {
          const comparison = new Comparison(simulatedServer(), real)
          for (const one of requests) await comparison.send(one)
          await comparison.compareOffsets()
          await comparison.compareFetches()
          await comparison.leaveAll()
        } finally {
          await real.disconnect()
        }
      }),
      { numRuns: Number(process.env['SIMULATION_LISTS'] ?? 8) },
    )
  } finally {
    await clients.disconnect()
  }
})

import * as fc from 'fast-check'
import { Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { ManyHistogram } from '../../../cache-service/telemetry/many-histogram.ts'

test('many values at a time are exposed as prom-client exposes them one by one', async () => {
  const value = fc.oneof(
    fc.constantFrom(0, -1, 0.5, 1, 2, 1e9),
    fc.double({ noNaN: true, min: -10, max: 10 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(value)), async (calls) => {
      const [one, many] = [new Registry(), new Registry()]
      const settings = { name: 'age_seconds', help: 'An age.', buckets: [0.5, 1, 2] }
      const expected = new Histogram({ ...settings, registers: [one] })
      const histogram = new ManyHistogram({ ...settings, registers: [many] })
      for (const values of calls) {
        for (const each of values) expected.observe(each)
        histogram.observeMany(Float64Array.from(values))
      }
      expect(await many.metrics()).toBe(await one.metrics())
    }),
    { numRuns: 200 },
  )
})

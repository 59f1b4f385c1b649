import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isValidatedOutput } from '../../../../cache-service/core/records/validated-output.ts'
import { validatedOutputSchema } from '../../../../shared/contract/messages.ts'

/** What a field may hold; every kind of value occurs often enough to be right by chance. */
const anyValue = fc.oneof(
  fc.constantFrom(undefined, null, '', 'text', '2025-06-08T18:27:17', true, false, 0, 1.5, -0, Infinity),
  fc.constantFrom<unknown>([], [true], [true, false], [true, null], [1], ['°C', 2], {}, { a: 1 }, [[]]),
  fc.jsonValue({ maxDepth: 2 }),
)
/** Mostly valid: a record is refused for a single field. */
const mostly = (...valid: unknown[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...valid) }, { weight: 1, arbitrary: anyValue })
const anyMetadata = fc.record(
  {
    datatype_id: mostly('id', 7, null),
    datatype_name: mostly('name', 0.5, null),
    datatype_unit: mostly('°C', 1, ['°C', null], []),
    persist: mostly(true, false, [], [true, false]),
    further: anyValue,
  },
  { requiredKeys: [] },
)
const anyRecord = fc.record(
  {
    request_id: mostly('r', null),
    timestamp: mostly('2025-06-08T18:27:17', null),
    device_id: mostly('sensor-1', ''),
    metadata: fc.oneof({ weight: 6, arbitrary: anyMetadata }, { weight: 1, arbitrary: anyValue }),
    values: anyValue,
  },
  { requiredKeys: [] },
)

describe('isValidatedOutput', () => {
  test('accepts exactly what the schema accepts', () => {
    const seen = { accepted: 0, refused: 0 }
    fc.assert(
      fc.property(anyRecord, (json) => {
        const accepts = isValidatedOutput(json)
        expect(accepts).toBe(validatedOutputSchema.safeParse(json).success)
        seen[accepts ? 'accepted' : 'refused']++
      }),
      { numRuns: 5_000 },
    )
    expect(seen.accepted).toBeGreaterThan(100)
    expect(seen.refused).toBeGreaterThan(100)
  })

  test.for([
    ['{"device_id":"a","metadata":{"datatype_id":1e999}}', false],
    ['{"device_id":"a","metadata":[]}', false],
    ['{"device_id":"a","metadata":null,"timestamp":null}', true],
    ['{"__proto__":{"device_id":"a"}}', false],
    ['{"device_id":"a","metadata":{"__proto__":{"persist":1}}}', true],
  ] as const)('%s: %s', ([text, expected]) => {
    const json: object = JSON.parse(text)
    expect(isValidatedOutput(json)).toBe(expected)
    expect(validatedOutputSchema.safeParse(json).success).toBe(expected)
  })
})

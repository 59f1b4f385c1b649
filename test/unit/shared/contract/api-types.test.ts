import * as fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import {
  deviceShape,
  deviceEventShape,
  lookupShape,
  pageShape,
  problemShape,
  resetEventShape,
  searchShape,
  stateShape,
  updateEventShape,
  type ResponseShape,
} from '../../../../shared/client/response-shapes.ts'
import * as schemas from '../../../../shared/contract/api-schemas.ts'
import type { ApiProblem, Device } from '../../../../shared/contract/api-types.ts'

// The client validates responses without zod. Here, its functions and types are compared with the server's schemas.

const device = {
  device_id: 'd',
  datatype_id: null,
  datatype_name: 'Temperature',
  datatype_unit: ['°C'],
  persist: true,
  last_updated: '2025-06-08T18:27:17.476623+00:00',
  extra: { battery_ok: 'true' },
  ttl: 60,
}
const problem = { type: 'corrupt_device', title: 'Corrupt device', status: 500, detail: 'It is a list.' }

/** The client leaves the devices and problems of a lookup to `deviceShape` and `problemShape`. */
const lookupResponse: ResponseShape<unknown> = (json, path) => {
  const { errors, found } = lookupShape(json, path)
  for (const one of Object.values(found)) deviceShape(one, path)
  for (const one of Object.values(errors)) problemShape(one, path)
}

const responses: readonly [string, z.ZodType, ResponseShape<unknown>, readonly object[]][] = [
  ['device', schemas.deviceSchema, deviceShape, [device, { ...device, datatype_unit: '°C', ttl: null }]],
  ['problem', schemas.problemSchema, problemShape, [problem, { ...problem, detail: undefined, more: [1] }]],
  [
    'page',
    schemas.pageSchema,
    pageShape,
    [
      { devices: [device, device], next_cursor: 'c', errors: { e: problem } },
      { devices: [], next_cursor: null },
    ],
  ],
  [
    'search',
    schemas.searchSchema,
    searchShape,
    [
      {
        ...{ devices: [device], next_cursor: 'c', errors: { e: problem } },
        ...{ total: 7, offset: 3, as_of: '2026-01-01T00:00:00.000Z', truncated: false },
      },
    ],
  ],
  [
    'lookup',
    schemas.lookupSchema,
    lookupResponse,
    [{ found: { d: device }, missing: ['m'], errors: { e: problem }, complete: true }],
  ],
  [
    'state',
    schemas.stateSchema,
    stateShape,
    [{ state: { a: { valid: true }, b: 1 }, last_event_id: '0-0.0-0' }],
  ],
  [
    'device event',
    schemas.deviceEventSchema,
    deviceEventShape,
    [{ change: 'deleted', device_ids: ['d'], more: 0 }],
  ],
  [
    'update event',
    schemas.updateEventSchema,
    updateEventShape,
    [
      { type: 't', updated: 1, valid: true, values: [1] },
      { type: 't', updated: null, valid: null, too_large: true },
    ],
  ],
  ['reset event', schemas.resetEventSchema, resetEventShape, [{ streams: ['device'], reason: 'missed' }]],
]

/** Every value inside, by its path. */
function pathsIn(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([name, part]) => pathsIn(part, [...path, name]))]
}

function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by
  const entries = Object.entries(Object(value)).map(([key, part]) =>
    key === name ? [key, replaced(part, rest, by)] : [key, part],
  )
  const changed = Object.fromEntries(
    by === ABSENT && rest.length === 0 ? entries.filter(([key]) => key !== name) : entries,
  )
  return Array.isArray(value) ? Object.values(changed) : changed
}

const ABSENT = Symbol('absent')
const REPLACEMENTS = [
  ABSENT,
  null,
  'text',
  '',
  1,
  1.5,
  2 ** 53,
  -1,
  true,
  false,
  [],
  ['x'],
  [1],
  {},
  { x: 1 },
  { x: 'y' },
]

function isAccepted(shape: ResponseShape<unknown>, json: unknown): boolean {
  try {
    shape(json, '$')
    return true
  } catch {
    return false
  }
}

describe('the client accepts the same responses as the schema of a', () => {
  test.each(responses)('%s, with any of its parts replaced or left out', (_, schema, shape, samples) => {
    for (const sample of samples) {
      expect([schema.safeParse(sample).success, isAccepted(shape, sample)]).toEqual([true, true])
      const paths = pathsIn(sample).filter((path) => path.length > 0)
      const changes = fc.tuple(fc.constantFrom(...paths), fc.constantFrom(...REPLACEMENTS))
      fc.assert(
        fc.property(fc.array(changes, { minLength: 1, maxLength: 3 }), (made) => {
          const json = made.reduce<unknown>((value, [path, by]) => replaced(value, path, by), sample)
          expect([json, isAccepted(shape, json)]).toEqual([json, schema.safeParse(json).success])
        }),
        { numRuns: 300 },
      )
    }
  })
})

test('a device and a problem are read as the schemas read them', () => {
  expect(deviceShape({ ...device, unknown: 1 }, '$')).toEqual(schemas.deviceSchema.parse(device))
  expect(problemShape({ ...problem, more: 1 }, '$')).toEqual(
    schemas.problemSchema.parse({ ...problem, more: 1 }),
  )
})

test('the error for a response names the place and quotes nothing', () => {
  const json = { devices: [device, { ...device, extra: { secret: 5 } }], next_cursor: null }
  expect(() => pageShape(json, '$')).toThrow(/^\$\.devices\[1\]\.extra\.secret must be a string$/)
  expect(() => pageShape('secret', '$')).toThrow(/^\$ must be an object$/)
})

test('the types are those of the schemas', () => {
  type Fields = z.output<typeof schemas.deviceSchema>
  expectTypeOf<keyof Device>().toEqualTypeOf<keyof Fields>()
  expectTypeOf<Fields>().toExtend<Device>()
  expectTypeOf<z.output<typeof schemas.problemSchema>>().toExtend<ApiProblem>()
})

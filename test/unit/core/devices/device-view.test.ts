import { describe, expect, it } from 'vitest'
import { hashTextOf, renderDevice } from '../../../../cache-service/core/devices/device-view.ts'
import { decodeCursor, encodeCursor, FIRST_PAGE } from '../../../../cache-service/core/devices/page-cursor.ts'
import { parseDeviceId, type DeviceId } from '../../../../shared/contract/device-id.ts'

function id(text: string): DeviceId {
  const parsed = parseDeviceId(text)
  if (parsed === undefined) throw new Error(`${text} is not a device id`)
  return parsed
}

function render(fields: Record<string, string>, ttlS?: number): unknown {
  const reading = renderDevice(id('d:1'), Object.entries(fields).flat(), ttlS)
  return reading.kind === 'found' ? JSON.parse(reading.json) : reading
}

describe('a device hash is rendered', () => {
  it('with real types', () => {
    const fields = {
      datatype_id: '7',
      datatype_name: 'Temperature "in" °C',
      datatype_unit: '["°C", "%"]',
      persist: '[true,false]',
      last_updated: '2025-06-08T18:27:17.476623+00:00',
      battery: 'true',
      __proto__x: '{"a":1}',
    }
    expect(render(fields, 12)).toEqual({
      device_id: 'd:1',
      datatype_id: '7',
      datatype_name: 'Temperature "in" °C',
      datatype_unit: ['°C', '%'],
      persist: [true, false],
      last_updated: '2025-06-08T18:27:17.476623+00:00',
      extra: { battery: 'true', __proto__x: '{"a":1}' },
      ttl: 12,
    })
  })

  it('with null for absent fields, but with true for an absent persist', () => {
    expect(render({ x: 'y' })).toEqual({
      device_id: 'd:1',
      datatype_id: null,
      datatype_name: null,
      datatype_unit: null,
      persist: true,
      last_updated: null,
      extra: { x: 'y' },
      ttl: null,
    })
  })

  it.each([
    ['°C', '°C'],
    ['[not a list', '[not a list'],
    ['{"a":1}', '{"a":1}'],
    ['12', '12'],
    [' [1]', [1]],
    ['[]', []],
  ])('with the unit %j as %j', (text, unit) => {
    expect(render({ datatype_unit: text })).toMatchObject({ datatype_unit: unit })
  })

  it('with all digits of large numbers', () => {
    const reading = renderDevice(id('d'), ['datatype_unit', '[12345678901234567890]'], undefined)
    expect(reading).toMatchObject({ json: expect.stringContaining('[12345678901234567890]') })
  })

  it.each(['', 'True', '{', 'undefined', '[true,]'])('as corrupt if persist is %j', (persist) => {
    expect(render({ persist })).toEqual({ kind: 'corrupt', reason: 'The field persist is not valid JSON.' })
  })
})

it('hashTextOf returns everything except the ttl', () => {
  const texts = [1, 2].map((ttl) => {
    const reading = renderDevice(id('d'), ['x', ',"ttl":3'], ttl)
    return reading.kind === 'found' ? hashTextOf(reading.json) : ''
  })
  expect(texts[0]).toBe(texts[1])
  expect(texts[0]).toContain(String.raw`,\"ttl\":3`)
})

describe('a cursor', () => {
  it.each([FIRST_PAGE, { cursor: '18446744073709551615' }, { cursor: '12', above: 'gerät:1/ü' }])(
    'survives encoding and decoding: %j',
    (position) => {
      expect(decodeCursor(encodeCursor(position))).toEqual({ above: undefined, ...position })
      expect(encodeCursor(position)).toMatch(/^[\w-]+$/)
    },
  )

  it.each([
    '',
    '0',
    'AAAA',
    '%',
    Buffer.from('["-1"]').toString('base64url'),
    Buffer.from('["18446744073709551616"]').toString('base64url'),
    Buffer.from('["99999999999999999999"]').toString('base64url'),
    Buffer.from('["007"]').toString('base64'),
    `${Buffer.from('["0"]').toString('base64url')}!`,
    '1718000000000-0.1718000000000-0',
    Buffer.from('{}').toString('base64url'),
  ])('is not decoded from %j', (text) => expect(decodeCursor(text)).toBeUndefined())
})

import { expect, test } from 'vitest'
import { parseFilters } from '../../../../cache-service/cli/commands/device-filter.ts'
import type { Device } from '../../../../shared/contract/api-schemas.ts'

const device: Device = {
  device_id: 'd',
  datatype_id: '7',
  datatype_name: 'temperature',
  datatype_unit: ['°C', '%'],
  persist: [true, false],
  last_updated: null,
  extra: { battery_ok: 'true', formula: 'a=b', ttl: 'extra' },
  ttl: 60,
}

test.each([
  [['datatype_name=temperature'], true],
  [['datatype_name=Temperature'], false],
  [['datatype_unit=%'], true],
  [['datatype_unit=["°C","%"]'], true],
  [['persist=false'], true],
  [['ttl=60'], true],
  [['battery_ok=true'], true],
  [['formula=a=b'], true],
  [['extra=x'], false],
  [['constructor=x'], false],
  [['unknown='], false],
  [['last_updated=null'], true],
  [['datatype_id=7', 'battery_ok=true'], true],
  [['datatype_id=7', 'battery_ok=false'], false],
  [[], true],
])('the filters %j match: %s', (filters, isWanted) => {
  expect(parseFilters(filters)(device)).toBe(isWanted)
})

test.each(['x', '=x', ''])('%j is not a valid filter', (text) => {
  expect(() => parseFilters([text])).toThrow('must have the form field=value')
})

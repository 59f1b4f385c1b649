import type { Device } from '../../../shared/contract/api-schemas.ts'
import type { Column } from '../terminal/table.ts'

export const DEVICE_COLUMNS: readonly Column<Device>[] = [
  { name: 'device_id', cell: (device) => device.device_id },
  { name: 'datatype_name', cell: (device) => device.datatype_name },
  { name: 'datatype_id', cell: (device) => device.datatype_id },
  { name: 'datatype_unit', cell: (device) => device.datatype_unit },
  { name: 'persist', cell: (device) => textOf(device.persist) },
  { name: 'last_updated', cell: (device) => device.last_updated },
  { name: 'ttl', cell: (device) => device.ttl, isNumber: true },
  { name: 'extra', cell: ({ extra }) => (Object.keys(extra).length === 0 ? null : extra) },
]

/** A JSON value as the text of a cell: strings unchanged. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

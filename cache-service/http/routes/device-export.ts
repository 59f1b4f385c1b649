import { deviceSchema, type Device } from '../../../shared/contract/api-schemas.ts'
import type { FoundDevices } from '../../core/devices/device-query.ts'
import { csvLines } from '../csv.ts'
import type { ReadingQueue } from '../reading-queue.ts'
import type { ExportColumn } from './device-search-schemas.ts'

const DEVICES_PER_READ = 500

/** Yields the lines of about 500 devices at a time. Devices that have expired meanwhile, and corrupt ones, are left out. */
export async function* exportLines(
  found: FoundDevices,
  queue: ReadingQueue,
  { columns, format }: { readonly format: 'csv' | 'jsonl'; readonly columns: readonly ExportColumn[] },
  signal: AbortSignal,
): AsyncGenerator<string> {
  if (format === 'csv') yield csvLines([columns])
  for (let offset = 0; offset < found.total; offset += DEVICES_PER_READ) {
    signal.throwIfAborted()
    const some = await queue(DEVICES_PER_READ, () => found.read(offset, DEVICES_PER_READ))
    const texts = some.flatMap(({ reading }) => (reading.kind === 'found' ? [reading.json] : []))
    if (format === 'jsonl') yield texts.map((json) => `${json}\n`).join('')
    else yield csvLines(texts.map((json) => cellsOf(json, columns)))
  }
}

function cellsOf(json: string, columns: readonly ExportColumn[]): unknown[] {
  const device: Device = deviceSchema.parse(JSON.parse(json))
  return columns.map((column) => {
    // As cache-cli writes it.
    if (column === 'extra' && Object.keys(device.extra).length === 0) return undefined
    if (!isExtra(column)) return device[column]
    const name = column.slice('extra.'.length)
    return Object.hasOwn(device.extra, name) ? device.extra[name] : undefined
  })
}

function isExtra(column: ExportColumn): column is `extra.${string}` {
  return column.startsWith('extra.')
}

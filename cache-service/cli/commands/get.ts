import { MAX_LOOKUP_IDS } from '../../../shared/contract/api-schemas.ts'
import { examples, type Cli } from '../command.ts'
import { addRowOptions } from '../row-options.ts'
import { chosenFields, type RowChoice } from '../terminal/rows.ts'
import { DEVICE_COLUMNS } from './device-columns.ts'
import type { Device } from '../../../shared/contract/api-schemas.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'

export function registerGetCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('get'), DEVICE_COLUMNS)
    .description('print devices by id; reports missing ones on stderr and exits with 3')
    .argument('<id...>', 'device ids; put -- before an id that starts with -')
    .addHelpText(
      'after',
      examples(
        ['cache-cli get sensor-1', 'print one device'],
        ['cache-cli get sensor-1 gw:7 --format json', 'print several devices as JSON'],
        ['cache-cli get -- -7', 'print a device whose id looks like an option'],
      ),
    )
    .action((ids: string[], options: RowChoice<Device>) =>
      perform((session) => get(session, ids, options), 'api'),
    )
}

async function get(session: Session, ids: readonly string[], choice: RowChoice<Device>): Promise<ExitCode> {
  const source = await openDeviceSource(session)
  const wanted = [...new Set(ids)]
  const devices: Device[] = []
  const absent: string[] = []
  let isUnreachable = false
  for (let from = 0; from < wanted.length; from += MAX_LOOKUP_IDS) {
    const page = wanted.slice(from, from + MAX_LOOKUP_IDS)
    const { corrupt, found, isComplete, unavailable } = await source.lookup(page)
    for (const id of page) {
      const device = found.get(id)
      if (device !== undefined) {
        devices.push(device)
        continue
      }
      const failure = unavailable.get(id)
      const reason = corrupt.get(id)
      if (failure !== undefined) {
        isUnreachable = true
        absent.push(`${JSON.stringify(id)} can't be read: ${failure}`)
      } else if (reason !== undefined) absent.push(`${JSON.stringify(id)} is corrupt: ${reason}`)
      else if (isComplete) absent.push(`${JSON.stringify(id)} is not in the cache`)
      else absent.push(`${JSON.stringify(id)} is not in the cache yet: the cache is being filled`)
    }
  }
  const [only] = devices
  // One id gives an object; several give a list of those that exist.
  const isOne = wanted.length === 1 && session.output.format !== 'csv'
  if (isOne && only !== undefined) await session.output.record(chosenFields(only, choice))
  else if (!isOne && (devices.length > 0 || session.output.format !== 'table')) {
    await session.output.rows(DEVICE_COLUMNS, devices, choice)
  }
  for (const line of absent) session.error(line)
  if (isUnreachable) return EXIT.unreachable
  return absent.length === 0 ? EXIT.ok : EXIT.notFound
}

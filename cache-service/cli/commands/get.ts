import { MAX_LOOKUP_IDS } from '../../../shared/contract/api-schemas.ts'
import { examples, type Cli } from '../command.ts'
import { DEVICE_COLUMNS } from './device-columns.ts'
import type { Device } from '../../../shared/contract/api-schemas.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { openSource } from '../sources/open-source.ts'
import type { Session } from '../session.ts'

export function registerGetCommand({ program, perform }: Cli): void {
  program
    .command('get')
    .description('print some devices; says on stderr which there are not, and exits with 3 then')
    .argument('<id...>', 'device ids; after -- they may begin with a -')
    .addHelpText(
      'after',
      examples(
        ['cache-cli get sensor-1', 'one device'],
        ['cache-cli get sensor-1 gw:7 --format json', 'several, as JSON'],
        ['cache-cli get -- -7', 'an id that looks like an option'],
      ),
    )
    .action((ids: string[]) => perform((session) => get(session, ids)))
}

async function get(session: Session, ids: readonly string[]): Promise<ExitCode> {
  const source = await openSource(session)
  const wanted = [...new Set(ids)]
  const devices: Device[] = []
  const absent: string[] = []
  for (let from = 0; from < wanted.length; from += MAX_LOOKUP_IDS) {
    const chunk = wanted.slice(from, from + MAX_LOOKUP_IDS)
    const { damaged, found, isComplete } = await source.lookup(chunk)
    for (const id of chunk) {
      const device = found.get(id)
      if (device !== undefined) {
        devices.push(device)
        continue
      }
      const reason = damaged.get(id)
      if (reason !== undefined) absent.push(`${JSON.stringify(id)} is damaged: ${reason}`)
      else if (isComplete) absent.push(`${JSON.stringify(id)} is not in the cache`)
      else absent.push(`${JSON.stringify(id)} is not in the cache yet: it is being filled again`)
    }
  }
  const [only] = devices
  // One that was asked for is an object, several are a list of those that there are.
  const isOne = wanted.length === 1 && session.output.format !== 'csv'
  if (isOne && only !== undefined) await session.output.record(only)
  else if (!isOne && (devices.length > 0 || session.output.format !== 'table')) {
    await session.output.rows(DEVICE_COLUMNS, devices)
  }
  for (const line of absent) session.complain(line)
  return absent.length === 0 ? EXIT.ok : EXIT.notFound
}

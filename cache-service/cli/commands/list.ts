import { InvalidArgumentError } from 'commander'
import { MAX_PAGE_SIZE, type Device } from '../../../shared/contract/api-schemas.ts'
import { examples, type Cli } from '../command.ts'
import { DEVICE_COLUMNS } from './device-columns.ts'
import { parseFilters, type DeviceFilter } from './device-filter.ts'
import type { DeviceSource } from '../sources/device-source.ts'
import { several, wholeNumber } from '../global-options.ts'
import { openSource } from '../sources/open-source.ts'
import type { Session } from '../session.ts'

type ListOptions = {
  /** Infinity: all. */
  readonly limit: number
  readonly page: number
  readonly match?: string
  readonly filter?: readonly string[]
}

const DEFAULT_LIMIT = 100

export function registerListCommand({ program, perform }: Cli): void {
  program
    .command('list')
    .description('print devices, in no particular order')
    .option('--limit <n>', 'so many at most, or "all"', parseLimit, DEFAULT_LIMIT)
    .option('--page <n>', 'the first, second, … of --limit devices each', wholeNumber(1), 1)
    .option('--match <prefix>', 'only ids that begin with this, literally')
    .option(
      '--filter <field=value>',
      'only devices with this value, of an extra field too; repeatable',
      several,
    )
    .addHelpText(
      'after',
      examples(
        ['cache-cli list --limit 20', 'twenty devices'],
        ['cache-cli list --match sensor- --filter datatype_name=temperature', 'some kind of sensors'],
        ['cache-cli list --limit all --format csv --output devices.csv', 'all of them, into a file'],
      ),
    )
    .action((options: ListOptions) => perform((session) => list(session, options)))
}

function parseLimit(text: string): number {
  if (text === 'all') return Infinity
  try {
    return wholeNumber(1)(text)
  } catch {
    throw new InvalidArgumentError('It must be a whole number, 1 or more, or "all".')
  }
}

async function list(session: Session, { limit, page, match = '', filter }: ListOptions): Promise<void> {
  const isWanted = parseFilters(filter ?? [])
  const source = await openSource(session)
  const skipped = page === 1 ? 0 : (page - 1) * limit
  let seen = 0
  let hasMore = false
  async function* onPage(): AsyncGenerator<Device> {
    for await (const device of wantedDevices(session, source, match, isWanted, limit)) {
      seen++
      hasMore = seen > skipped + limit
      if (hasMore) return
      if (seen > skipped) yield device
    }
  }
  await session.output.rows(DEVICE_COLUMNS, onPage())
  if (hasMore) session.say(`There are more: --page ${page + 1}, or --limit all`)
  else if (seen <= skipped) session.say(page === 1 ? 'No devices.' : `No devices on page ${page}.`)
}

async function* wantedDevices(
  session: Session,
  source: DeviceSource,
  prefix: string,
  isWanted: DeviceFilter,
  limit: number,
): AsyncGenerator<Device> {
  const seen = new Set<string>()
  const size = Math.min(MAX_PAGE_SIZE, limit + 1)
  for await (const { damaged, devices } of source.pages(prefix, size)) {
    session.stop.throwIfAborted()
    for (const device of devices) {
      if (seen.has(device.device_id) || !isWanted(device)) continue
      seen.add(device.device_id)
      yield device
    }
    for (const [id, reason] of damaged) session.warn(`${JSON.stringify(id)} is damaged: ${reason}`)
  }
}

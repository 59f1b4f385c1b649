import { InvalidArgumentError } from 'commander'
import { MAX_PAGE_SIZE, type Device } from '../../../shared/contract/api-schemas.ts'
import { examples, type Cli } from '../command.ts'
import { addColumnsOption } from '../row-options.ts'
import { DEVICE_COLUMNS } from './device-columns.ts'
import { parseFilters, type DeviceFilter } from './device-filter.ts'
import { addSearchOptions, deviceQuery, type SearchOptions } from './search-options.ts'
import type { FoundPage, SourcePage } from '../sources/device-source.ts'
import { collect, wholeNumber } from '../global-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'
import { unavailableText } from './unavailable-devices.ts'

type ListOptions = SearchOptions & {
  readonly columns?: readonly Column<Device>[]
  /** Infinity: all. */
  readonly limit: number
  readonly page: number
  readonly match?: string
  readonly filter?: readonly string[]
}

const DEFAULT_LIMIT = 100

export function registerListCommand({ program, perform }: Cli): void {
  const command = program
    .command('list')
    .description('list devices, in no particular order unless they are searched or sorted')
    .option('--limit <n>', 'maximum number of devices to show, or "all"', parseLimit, DEFAULT_LIMIT)
    .option('--page <n>', 'page to show, of --limit devices each', wholeNumber(1), 1)
    .option('--match <prefix>', 'only ids with this prefix (no wildcards)')
    .option(
      '--filter <field=value>',
      'only devices with this value in this field or extra field (repeatable)',
      collect,
    )
  addColumnsOption(addSearchOptions(command), DEVICE_COLUMNS)
    .addHelpText(
      'after',
      examples(
        ['cache-cli list --limit 20', 'list up to twenty devices'],
        ['cache-cli list --match sensor- --filter datatype_name=temperature', 'list one kind of sensor'],
        ['cache-cli list --columns device_id,last_updated', 'print only these columns'],
        ['cache-cli list --silent-for 1h --sort last_updated', 'list devices that no longer report'],
        ['cache-cli list --limit all --format csv --output devices.csv', 'write all devices to a file'],
      ),
    )
    .action((options: ListOptions) => perform((session) => list(session, options), 'api'))
}

function parseLimit(text: string): number {
  if (text === 'all') return Infinity
  try {
    return wholeNumber(1)(text)
  } catch {
    throw new InvalidArgumentError('It must be a whole number of at least 1, or "all".')
  }
}

async function list(session: Session, options: ListOptions): Promise<ExitCode> {
  const { columns, filter, limit, match = '', page } = options
  const isWanted = parseFilters(filter ?? [])
  const query = deviceQuery(match, options, session.context.now())
  const source = await openDeviceSource(session)
  const skipped = page === 1 ? 0 : (page - 1) * limit
  const unavailable = new Map<string, string>()
  let seen = 0
  let hasMore = false
  async function* onPage(): AsyncGenerator<Device> {
    const size = Math.min(MAX_PAGE_SIZE, limit + 1)
    const pages =
      query === undefined ? source.pages(match, size) : withProgress(session, source.search(query, size))
    for await (const device of wantedDevices(session, pages, isWanted, unavailable)) {
      seen++
      hasMore = seen > skipped + limit
      if (hasMore) return
      if (seen > skipped) yield device
    }
  }
  await session.output.rows(DEVICE_COLUMNS, onPage(), columns === undefined ? {} : { columns })
  if (hasMore) session.info(`There are more devices: use --page ${page + 1} or --limit all.`)
  else if (seen <= skipped) session.info(page === 1 ? 'No devices.' : `No devices on page ${page}.`)
  if (unavailable.size === 0) return EXIT.ok
  session.error(unavailableText(unavailable.size, new Set(unavailable.values())))
  return EXIT.unreachable
}

/** All devices are read before the first page. */
async function* withProgress(session: Session, pages: AsyncIterable<FoundPage>): AsyncGenerator<FoundPage> {
  let progress = session.progress('devices listed')
  let isFirst = true
  try {
    for await (const page of pages) {
      if (isFirst) {
        progress.end()
        progress = session.progress('devices listed', page.total)
        if (page.isTruncated) session.warn('not all devices were searched: raise API_SEARCH_MAX_DEVICES')
      }
      isFirst = false
      yield page
      progress.advance(page.devices.length)
    }
  } finally {
    progress.end()
  }
}

/** @param unavailable receives the devices that can't be read, with the reason. */
async function* wantedDevices(
  session: Session,
  pages: AsyncIterable<SourcePage>,
  isWanted: DeviceFilter,
  unavailable: Map<string, string>,
): AsyncGenerator<Device> {
  const seen = new Set<string>()
  for await (const page of pages) {
    const { corrupt, devices } = page
    session.stop.throwIfAborted()
    for (const [id, reason] of page.unavailable) unavailable.set(id, reason)
    for (const device of devices) {
      if (seen.has(device.device_id) || !isWanted(device)) continue
      seen.add(device.device_id)
      yield device
    }
    for (const [id, reason] of corrupt) session.warn(`${JSON.stringify(id)} is corrupt: ${reason}`)
  }
}

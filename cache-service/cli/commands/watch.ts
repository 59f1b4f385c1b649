import type { WatchEvent } from '../../../shared/client/types.ts'
import { examples, type Cli } from '../command.ts'
import { collect } from '../global-options.ts'
import { addColumnsOption } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import { printable, type Colors, type Column } from '../terminal/table.ts'

type WatchOptions = Pick<RowChoice<Row>, 'columns'> & {
  readonly device?: readonly string[]
  readonly type?: readonly string[]
}

/** An event with the field names of the API. `at`: when cache-cli received it. */
type Row = { readonly at: string; readonly id: string } & (
  | {
      readonly event: 'device'
      readonly change: 'changed' | 'deleted'
      readonly device_ids: readonly string[]
      readonly more: number
    }
  | {
      readonly event: 'update'
      readonly type: string
      readonly updated: unknown
      readonly valid: unknown
      readonly values: unknown
      readonly too_large?: true
    }
  | { readonly event: 'reset'; readonly streams: readonly string[]; readonly reason: string }
)

/** For the table format only: a busy fleet would fill the screen four times a second. */
const IDS_PER_LINE = 8

const COLUMNS: readonly Column<Row>[] = [
  { name: 'at', cell: (row) => row.at },
  { name: 'event', cell: (row) => row.event },
  { name: 'change', cell: (row) => (row.event === 'device' ? row.change : null) },
  { name: 'device_ids', cell: (row) => (row.event === 'device' ? row.device_ids : null) },
  { name: 'more', cell: (row) => (row.event === 'device' ? row.more : null) },
  { name: 'type', cell: (row) => (row.event === 'update' ? row.type : null) },
  { name: 'values', cell: (row) => (row.event === 'update' ? JSON.stringify(row.values) : null) },
  { name: 'reason', cell: (row) => (row.event === 'reset' ? row.reason : null) },
  { name: 'id', cell: (row) => row.id },
]

export function registerWatchCommand({ program, perform }: Cli): void {
  addColumnsOption(program.command('watch'), COLUMNS)
    .description('print device changes and key-value updates as they happen, until Ctrl-C')
    .option(
      '--device <id>',
      'only changes of this device, without updates unless --type is used (repeatable)',
      collect,
    )
    .option(
      '--type <type>',
      'only updates of this type, without devices unless --device is used (repeatable)',
      collect,
    )
    .addHelpText(
      'after',
      `
Device changes are hints: they name the ids that changed or, on a busy fleet, some of them and the number of
others. After a lost connection watch resumes where it was; "reset" means that events may have been missed.
${examples(
  ['cache-cli watch', 'print everything'],
  ['cache-cli watch --device sensor-1 --format json', 'follow one device, one JSON object per line'],
  ['cache-cli watch --type alarms --format json | jq .values', 'print the values of a key'],
)}`,
    )
    .action((options: WatchOptions) => perform((session) => watch(session, options), 'api'))
}

async function watch(session: Session, options: WatchOptions): Promise<void> {
  const { device = [], type = [] } = options
  const source = await openDeviceSource(session)
  const isAll = device.length === 0 && type.length === 0
  const streams = [
    ...(isAll || type.length > 0 ? (['update'] as const) : []),
    ...(isAll || device.length > 0 ? (['device'] as const) : []),
  ]
  const onStart = () => session.info('Watching. Press Ctrl-C to stop.')
  const events = source.watch({ streams, deviceIds: device, updateTypes: type, onStart })
  async function* rows(): AsyncGenerator<Row> {
    for await (const event of events) yield rowOf(event, new Date(session.context.now()).toISOString())
  }
  await session.output.stream(COLUMNS, rows(), lineOf, options)
}

function rowOf(event: WatchEvent, at: string): Row {
  const { id, kind } = event
  switch (kind) {
    case 'device': {
      const { change, deviceIds, more } = event
      return { at, event: kind, id, change, device_ids: deviceIds, more }
    }
    case 'update': {
      const { isTooLarge, type, updated, valid, values } = event
      return { at, event: kind, id, type, updated, valid, values, ...(isTooLarge && { too_large: true }) }
    }
    case 'reset':
      return { at, event: kind, id, streams: event.streams, reason: event.reason }
  }
}

function lineOf(row: Row, colors: Colors): string {
  const at = colors.dim(row.at)
  switch (row.event) {
    case 'device': {
      const shown = row.device_ids.slice(0, IDS_PER_LINE)
      const others = row.device_ids.length - shown.length + row.more
      const more = others === 0 ? '' : shown.length === 0 ? `${others} not named` : ` and ${others} more`
      const ids = shown.map(printable).join(' ')
      return `${at} device ${row.change === 'deleted' ? colors.red(row.change) : row.change}  ${ids}${more}`
    }
    case 'update': {
      const values = row.too_large ? '(too large to be sent)' : JSON.stringify(row.values)
      return `${at} update ${printable(row.type)}  ${printable(values)}`
    }
    case 'reset':
      return `${at} ${colors.yellow('reset')}  ${row.streams.join(' ')}: ${printable(row.reason)}; read the current state again`
  }
}

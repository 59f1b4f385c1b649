import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { usageError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { addRowOptions } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

type Row = { readonly device_id: string; readonly result: 'deleted' | 'missing' }

const COLUMNS: readonly Column<Row>[] = [
  { name: 'device_id', cell: (row) => row.device_id },
  {
    name: 'result',
    cell: (row) => row.result,
    tone: ({ result }) => (result === 'deleted' ? 'good' : 'warn'),
  },
]

type DeleteOptions = RowChoice<Row> & { readonly yes?: true }

export function registerDeleteCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('delete'), COLUMNS)
    .description('delete devices from the cache, until their next record; exits with 3 if one is missing')
    .argument('<id...>', 'device ids; put -- before an id that starts with -')
    .option('-y, --yes', 'do not ask for confirmation')
    .addHelpText(
      'after',
      examples(
        ['cache-cli delete sensor-1', 'ask, and delete one device'],
        ['cache-cli delete --yes sensor-1 gw:7', 'delete two devices from a script'],
      ),
    )
    .action((ids: string[], options: DeleteOptions) =>
      perform((session) => deleteDevices(session, [...new Set(ids)], options), 'api'),
    )
}

async function deleteDevices(
  session: Session,
  ids: readonly string[],
  options: DeleteOptions,
): Promise<ExitCode> {
  const yes = options.yes === true
  for (const id of ids)
    if (!isDeviceId(id)) throw usageError(`${JSON.stringify(id)} is not a valid device id`)
  session.assertCanConfirm(yes)
  const source = await openDeviceSource(session)
  const what = ids.length === 1 ? `the device ${JSON.stringify(ids[0])}` : `${ids.length} devices`
  await session.confirm(`Delete ${what} until the next record?`, yes)
  let missing = 0
  async function* rows(): AsyncGenerator<Row> {
    for (const id of ids) {
      session.stop.throwIfAborted()
      const isDeleted = await source.remove(id)
      if (!isDeleted) missing++
      yield { device_id: id, result: isDeleted ? 'deleted' : 'missing' }
    }
  }
  await session.output.rows(COLUMNS, rows(), options)
  return missing === 0 ? EXIT.ok : EXIT.notFound
}

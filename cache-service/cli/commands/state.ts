import { isObject } from '../../../shared/json.ts'
import { CliError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { addRowOptions } from '../row-options.ts'
import { chosenFields, type RowChoice } from '../terminal/rows.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

/** A key-value with its type. What another program has stored may have other fields, or none. */
type Row = {
  readonly type: string
  readonly updated?: unknown
  readonly valid?: unknown
  readonly values?: unknown
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'type', cell: (row) => row.type },
  { name: 'updated', cell: (row) => row.updated },
  { name: 'valid', cell: (row) => row.valid, tone: ({ valid }) => (valid === false ? 'warn' : undefined) },
  { name: 'values', cell: (row) => row.values },
]

export function registerStateCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('state'), COLUMNS)
    .description('print the key-values that the kv-updater keeps: all of them, or one')
    .argument('[type]', 'type of the key-value; exits with 3 if it does not exist')
    .addHelpText(
      'after',
      examples(
        ['cache-cli state', 'print all key-values'],
        ['cache-cli state alarms --format json | jq .values', 'print the values of one type'],
      ),
    )
    .action((type: string | undefined, options: RowChoice<Row>) =>
      perform((session) => printState(session, type, options), 'api'),
    )
}

async function printState(session: Session, type: string | undefined, choice: RowChoice<Row>): Promise<void> {
  const source = await openDeviceSource(session)
  const rows = [...(await source.state(type))].map(rowOf)
  if (type === undefined) {
    await session.output.rows(COLUMNS, rows, choice)
    if (rows.length === 0) session.info('No key-values.')
    return
  }
  const [only] = rows
  if (only === undefined) throw new CliError(EXIT.notFound, `there is no key-value ${JSON.stringify(type)}`)
  await session.output.record(chosenFields(only, choice))
}

function rowOf([type, value]: readonly [string, unknown]): Row {
  // In this order, and whatever the value contains.
  return isObject(value) ? Object.assign({ type }, value, { type }) : { type, values: value }
}

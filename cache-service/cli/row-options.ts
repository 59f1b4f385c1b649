import { InvalidArgumentError, Option, type Command } from 'commander'
import { nearestWord } from '../../shared/edit-distance.ts'
import type { RowChoice, RowSort } from './terminal/rows.ts'
import type { Column } from './terminal/table.ts'

/** An option whose value is a comma-separated list of its choices. */
export class ListOption extends Option {}

/**
 * Adds `--columns` and `--sort`, which every command that prints rows has. What the user chooses is a `RowChoice` in the options.
 *
 * @param columns every column that may be chosen, also those that are not printed by default.
 */
export function addRowOptions<Row>(command: Command, columns: readonly Column<Row>[]): Command {
  const option = new Option(
    '--sort <column>',
    'sort the rows by this column; with "-" before it in descending order',
  )
  option.argChoices = namesOf(columns)
  return addColumnsOption(command, columns).addOption(option.argParser(sortParser(columns)))
}

/** Only `--columns`: the command sorts by other means, or never ends. */
export function addColumnsOption<Row>(command: Command, columns: readonly Column<Row>[]): Command {
  const option = new ListOption(
    '--columns <names>',
    'print only these columns, in this order, separated by commas',
  )
  option.argChoices = namesOf(columns)
  return command.addOption(option.argParser(columnsParser(columns)))
}

/** Whether rows were asked for, of a command that otherwise prints a summary or text. */
export function choosesRows<Row>({ columns, sort }: RowChoice<Row>): boolean {
  return columns !== undefined || sort !== undefined
}

function columnsParser<Row>(columns: readonly Column<Row>[]) {
  return (text: string): readonly Column<Row>[] => {
    const names = text.split(',').map((name) => name.trim())
    return [...new Set(names)].map((name) => findColumn(columns, name))
  }
}

function sortParser<Row>(columns: readonly Column<Row>[]) {
  return (text: string): RowSort<Row> => {
    const isDescending = text.startsWith('-')
    return { column: findColumn(columns, text.slice(isDescending ? 1 : 0)), isDescending }
  }
}

function findColumn<Row>(columns: readonly Column<Row>[], name: string): Column<Row> {
  const column = columns.find((known) => known.name === name)
  if (column !== undefined) return column
  const names = namesOf(columns)
  const nearest = nearestWord(name, names) ?? names.find((known) => name.length > 2 && known.includes(name))
  const suggestion = nearest === undefined ? '' : ` Did you mean ${nearest}?`
  throw new InvalidArgumentError(
    `There is no column ${JSON.stringify(name)}.${suggestion} Columns: ${names.join(', ')}.`,
  )
}

function namesOf<Row>(columns: readonly Column<Row>[]): string[] {
  return columns.map(({ name }) => name)
}

import { InvalidArgumentError, Option, type Command } from 'commander'
import { SORT_FIELDS } from '../../../shared/contract/api-types.ts'
import {
  EVERY_DEVICE,
  parseSort,
  type DeviceQuery,
  type DeviceSort,
} from '../../core/devices/device-query.ts'
import { eventTimeUs } from '../../core/event-time.ts'
import { parseDuration, parseTime } from './time-option.ts'

/** What a search is made for; all devices are read first. */
export type SearchOptions = {
  readonly type?: string
  readonly unit?: string
  readonly contains?: string
  readonly silentFor?: number
  readonly updatedBefore?: string
  readonly updatedAfter?: string
  readonly sort?: DeviceSort
}

export function addSearchOptions(command: Command): Command {
  return command
    .option('--contains <text>', 'only ids that contain this text, in upper or lower case')
    .option('--type <name>', 'only devices with this datatype_name or datatype_id; "" for neither')
    .option('--unit <unit>', 'only devices with this unit, alone or in a list; "" for none')
    .option(
      '--silent-for <time>',
      'only devices that have not reported for this long: 90s, 30m, 2h, 7d',
      silence,
    )
    .option(
      '--updated-before <time>',
      'only devices last updated before this time: 2025-06-08T18:00:00Z, or 30m, 2h, 7d ago',
    )
    .option('--updated-after <time>', 'only devices last updated after this time')
    .addOption(sortOption())
}

/**
 * undefined: none of the options is given, so that the devices need not be searched.
 *
 * @throws CliError (usage)
 */
export function deviceQuery(prefix: string, options: SearchOptions, nowMs: number): DeviceQuery | undefined {
  const { contains, silentFor, sort, type, unit, updatedAfter, updatedBefore } = options
  const given = [contains, silentFor, sort, type, unit, updatedAfter, updatedBefore]
  if (given.every((option) => option === undefined)) return undefined
  const timeUs = (option: string, text: string | undefined) =>
    text === undefined ? undefined : eventTimeUs(parseTime(option, text, nowMs).text)
  return {
    prefix,
    contains: contains ?? '',
    type,
    unit,
    silentForS: silentFor,
    updatedBeforeUs: timeUs('--updated-before', updatedBefore),
    updatedAfterUs: timeUs('--updated-after', updatedAfter),
    sort: sort ?? EVERY_DEVICE.sort,
  }
}

function silence(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('It must be a duration such as 90s, 30m, 2h or 7d.')
  return ms / 1000
}

function sortOption(): Option {
  const option = new Option('--sort <field>', 'sort by this field; with "-" before it in descending order')
  option.argChoices = [...SORT_FIELDS]
  return option.argParser(sortOf)
}

function sortOf(text: string): DeviceSort {
  const sort = parseSort(text)
  if (sort !== undefined) return sort
  throw new InvalidArgumentError(`Known fields: ${SORT_FIELDS.join(', ')}.`)
}

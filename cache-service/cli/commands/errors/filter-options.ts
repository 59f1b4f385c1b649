import { InvalidArgumentError, Option, type Command } from 'commander'
import { parseOffsetSpan, type DeadLetterFilter, type OffsetSpan } from '../../../core/dead-letters/filter.ts'
import { REJECT_REASONS } from '../../../core/records/parse-record.ts'
import { collect } from '../../global-options.ts'
import { parseTime } from '../time-option.ts'

/** The filters for dead letters, which all commands of this group but `show` have. */
export type DeadLetterOptions = {
  readonly reason?: readonly string[]
  readonly device?: readonly string[]
  readonly since?: string
  readonly until?: string
  readonly source?: readonly OffsetSpan[]
  readonly deadLetter?: readonly OffsetSpan[]
}

export function addDeadLetterOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--reason <reason>', 'only dead letters with this reason (repeatable)').argParser(
        (text: string, previous: readonly string[] | undefined) => collect(knownReason(text), previous),
      ),
    )
    .option('--device <id>', 'only dead letters of this device (repeatable)', collect)
    .option(
      '--since <time>',
      'only dead letters written since this time: 2025-06-08T18:00:00Z, or 30m, 2h, 7d ago',
    )
    .option('--until <time>', 'only dead letters written before this time')
    .option('--source <range>', 'only records of this source partition, or P:FROM-TO (repeatable)', span)
    .option('--dead-letter <range>', 'only dead letters in this partition, or P:FROM-TO (repeatable)', span)
}

/** @throws CliError (usage) */
export function deadLetterFilter(options: DeadLetterOptions, nowMs: number): DeadLetterFilter {
  return {
    reasons: options.reason ?? [],
    devices: options.device ?? [],
    sinceMs: options.since === undefined ? undefined : parseTime('--since', options.since, nowMs).ms,
    untilMs: options.until === undefined ? undefined : parseTime('--until', options.until, nowMs).ms,
    source: options.source ?? [],
    deadLetters: options.deadLetter ?? [],
  }
}

function span(text: string, previous: readonly OffsetSpan[] | undefined): OffsetSpan[] {
  const parsed = parseOffsetSpan(text)
  if (parsed === undefined) {
    throw new InvalidArgumentError(
      'It must be a partition such as 2, or offsets in it: 2:17, 2:17-40, 2:17- or 2:-40.',
    )
  }
  return [...(previous ?? []), parsed]
}

function knownReason(text: string): string {
  if (REJECT_REASONS.some((reason) => reason === text)) return text
  throw new InvalidArgumentError(`Known reasons: ${REJECT_REASONS.join(', ')}.`)
}

import { Option, type Command } from 'commander'
import type { DeadLetterFilter } from '../../../core/dead-letters/filter.ts'
import { deadLetterLifetimeMs } from '../../../core/dead-letters/lifetime.ts'
import type { TopicBounds } from '../../../kafka/topic-bounds.ts'
import { createReplay } from '../../../pipeline/replay/replay.ts'
import { runReplay, type ReplayedDeadLetter } from '../../../pipeline/replay/replay-run.ts'
import {
  createCacheTarget,
  createTopicTarget,
  FAILED_RESULTS,
  type ReplayTarget,
} from '../../../pipeline/replay/replay-target.ts'
import { createDeviceWriter } from '../../../redis/devices/device-writer.ts'
import { createHintAppender } from '../../../redis/events/event-streams.ts'
import { createReplayLedger } from '../../../redis/workers/replay-ledger.ts'
import { readStoredHash } from '../../../redis/devices/stored-hash.ts'
import { examples, type Cli } from '../../command.ts'
import { EXIT, type ExitCode } from '../../exit-codes.ts'
import {
  openDeadLetterTopic,
  readDeadLetters,
  reportForeignMessages,
  type DeadLetterTopic,
} from './dead-letters.ts'
import { addDeadLetterOptions, deadLetterFilter, type DeadLetterOptions } from './filter-options.ts'
import { ReplayHints } from './replay-hints.ts'
import { progressText, printSummary } from './replay-summary.ts'
import type { Session } from '../../session.ts'
import { printable } from '../../terminal/table.ts'

type ReplayOptions = DeadLetterOptions & {
  readonly to: 'cache' | 'topic'
  readonly dryRun?: true
  readonly again?: true
  readonly yes?: true
}

const MAX_PRINTED_FAILURES = 10

export function registerErrorsReplayCommand(errors: Command, { perform }: Cli): void {
  addDeadLetterOptions(errors.command('replay'))
    .description('replay dead letters once their cause is fixed; each is replayed only once')
    .addOption(
      new Option(
        '--to <target>',
        'apply directly to Redis, or send to the topic, where other services read the records again',
      )
        .choices(['cache', 'topic'])
        .default('cache'),
    )
    .option('--dry-run', 'show what would happen and change nothing')
    .option('--again', 'include dead letters that were replayed before')
    .option('-y, --yes', 'do not ask for confirmation before sending to the topic')
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors replay --dry-run', 'show what would happen to all dead letters'],
        ['cache-cli errors replay --reason wrong_type --since 2h', 'apply only these, directly to Redis'],
        [
          'cache-cli errors replay --to topic --dead-letter 0:17',
          'ask, and send one record to its topic and partition',
        ],
      ),
    )
    .action((options: ReplayOptions) => perform((session) => replayErrors(session, options)))
}

async function replayErrors(session: Session, options: ReplayOptions): Promise<ExitCode> {
  const filter = deadLetterFilter(options, session.context.now())
  const { validatedDataTopic: topic } = session.config.kafka
  const mustConfirm = options.to === 'topic' && options.dryRun !== true
  if (mustConfirm) session.assertCanConfirm(options.yes === true)
  const deadLetterTopic = await openDeadLetterTopic(session)
  const redis = await session.redis()
  if (mustConfirm) {
    await confirmSending(session, deadLetterTopic, filter, options.yes === true)
  }
  const hints = new ReplayHints(createHintAppender(redis))
  const replay = createReplay({
    target:
      options.to === 'topic'
        ? await openTopicTarget(session, deadLetterTopic, topic)
        : openCacheTarget(session, redis, (kind, deviceId) => hints.note(kind, deviceId)),
    sourceTopic: topic,
    finder: deadLetterTopic.topics.finder(topic, 'records'),
    ledger: createReplayLedger(
      redis,
      deadLetterTopic.errorTopic,
      await ledgerLifetimeMs(deadLetterTopic.topics.bounds, deadLetterTopic.errorTopic),
    ),
    again: options.again === true,
    isDryRun: options.dryRun === true,
    stop: session.stop,
  })
  let failures = 0
  const summary = await runReplay(deadLetterTopic.scan, filter, replay, (replayed) => {
    if (!FAILED_RESULTS.has(replayed.outcome.result) || ++failures > MAX_PRINTED_FAILURES) return
    session.info(failureLine(replayed))
  }).finally(() => Promise.all([deadLetterTopic.endProgress(), hints.append()]))
  if (failures > MAX_PRINTED_FAILURES) session.info(`… and ${failures - MAX_PRINTED_FAILURES} more`)
  if (summary.isInterrupted) {
    session.info(`interrupted ${progressText(summary)}: run the command again for the rest`)
    return EXIT.interrupted
  }
  await printSummary(session, { to: options.to, isDryRun: options.dryRun === true }, summary)
  reportForeignMessages(session, summary.scanned)
  if (summary.endedBy !== undefined) {
    const failure = session.failureOf(summary.endedBy)
    session.error(`stopped early, run the command again for the rest: ${failure.message}`)
    return failure.exitCode
  }
  return summary.failed > 0 ? EXIT.failure : EXIT.ok
}

/** Other services read the topic as well, and nothing can be taken back from it. */
async function confirmSending(
  session: Session,
  deadLetterTopic: DeadLetterTopic,
  filter: DeadLetterFilter,
  yes: boolean,
): Promise<void> {
  if (yes) return
  const { matching } = await readDeadLetters(deadLetterTopic, filter, () => undefined)
  if (matching === 0) return
  const { validatedDataTopic: topic } = session.config.kafka
  await session.confirm(
    `Send ${matching === 1 ? 'one record' : `${matching} records`} to ${topic}, for all of its consumers?`,
    false,
  )
}

async function openTopicTarget(
  { config, context, releases }: Session,
  { topics }: DeadLetterTopic,
  topic: string,
): Promise<ReplayTarget> {
  const { createReplayProducer } = await import('../../../kafka/replay-producer.ts')
  const producer = createReplayProducer(topics.kafka, topic)
  releases.push('replay producer', () => producer.disconnect())
  return createTopicTarget({ topic, settings: config.cache, producer, now: context.now })
}

function openCacheTarget(
  { config, context }: Session,
  redis: Awaited<ReturnType<Session['redis']>>,
  changed: ReplayHints['note'],
): ReplayTarget {
  return createCacheTarget({
    settings: config.cache,
    writer: createDeviceWriter(redis, {
      maxKeys: config.redis.scriptMaxKeys,
      maxBytes: config.redis.scriptMaxBytes,
    }),
    stored: (deviceId) => readStoredHash(redis, deviceId, context.now()),
    changed,
    now: context.now,
  })
}

/** The ledger remembers a replayed dead letter for as long as the topic may hold it. */
async function ledgerLifetimeMs(bounds: TopicBounds, errorTopic: string): Promise<number | undefined> {
  return deadLetterLifetimeMs(await bounds.settings(errorTopic).catch(() => new Map<string, string>()))
}

function failureLine({ deadLetter, outcome }: ReplayedDeadLetter): string {
  const device = deadLetter.deviceId === undefined ? '' : ` ${deadLetter.deviceId}`
  const detail = outcome.detail === undefined ? '' : `: ${outcome.detail}`
  return printable(`${deadLetter.partition}:${deadLetter.offset}${device}: ${outcome.result}${detail}`)
}

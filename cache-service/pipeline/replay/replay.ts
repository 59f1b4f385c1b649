import type { SourceRecord } from '../../core/records/source-record.ts'
import type { StoredDeadLetter } from '../../core/dead-letters/stored-dead-letter.ts'
import type { RecordFinder } from '../../kafka/record-finder.ts'
import type { LedgerState, ReplayLedger } from '../../redis/workers/replay-ledger.ts'
import type { ReplayOutcome, ReplayTarget } from './replay-target.ts'

export type ReplayDependencies = {
  readonly target: ReplayTarget
  /** The topic that the workers read. */
  readonly sourceTopic: string
  readonly finder: RecordFinder
  readonly ledger: ReplayLedger
  /** True: dead letters that were replayed before are replayed again. */
  readonly again: boolean
  readonly isDryRun: boolean
  readonly stop: AbortSignal
}

/** Returns the outcome of each dead letter, in order. Rejects with a ServiceError if reading Kafka or the ledger fails. */
export type Replay = (deadLetters: readonly StoredDeadLetter[]) => Promise<ReplayOutcome[]>

/**
 * For each dead letter: skip it if it was replayed before, find the original record, check that it may be sent, send
 * it, and record that in the ledger.
 *
 * A replay to the cache is recorded afterwards: a crash in between only causes a second, idempotent write. A replay
 * to the topic is claimed before and confirmed afterwards: a record that was claimed but never confirmed may or may
 * not be in the topic; it is reported as `outcome_unknown`, and sent again only with `again`.
 */
export function createReplay(dependencies: ReplayDependencies): Replay {
  const { again, finder, isDryRun, ledger, sourceTopic, stop, target } = dependencies

  return async function replay(deadLetters) {
    const states = again ? deadLetters.map((): LedgerState => 'new') : await ledger.look(deadLetters)
    const outcomes = deadLetters.map((_, i) => outcomeFromLedger(states[i] ?? 'new', target.isOnce))
    const originals = await findOriginals(deadLetters.filter((_, i) => outcomes[i] === undefined))
    // The dead letters of one device are replayed sequentially, in order.
    const tails = new Map<string, Promise<ReplayOutcome>>()
    const replayed = deadLetters.map((deadLetter, i) => {
      const known = outcomes[i]
      if (known !== undefined) return Promise.resolve(known)
      const device = deadLetter.deviceId ?? ''
      const before = tails.get(device)
      const turn = (async () => {
        const previous = await before?.catch(() => undefined)
        if (previous?.outage !== undefined) return previous
        return await replayOne(deadLetter, originals.get(deadLetter))
      })()
      tails.set(device, turn)
      return turn
    })
    return await Promise.all(replayed)
  }

  async function replayOne(
    deadLetter: StoredDeadLetter,
    original: Original | undefined,
  ): Promise<ReplayOutcome> {
    if (original?.kind !== 'found') {
      return { result: 'original_gone', detail: original?.reason ?? 'the record was not looked up' }
    }
    const { record } = original
    const refusal = target.refuse(record, deadLetter)
    if (refusal !== undefined) return refusal
    if (isDryRun) return await target.preview(record, deadLetter)
    if (target.isOnce && !(await ledger.claim(deadLetter)) && !again) {
      const [state] = await ledger.look([deadLetter])
      return outcomeFromLedger(state ?? 'claimed', true) ?? CLAIMED
    }
    const outcome = await target.send(record, deadLetter)
    switch (outcome.result) {
      case 'failed':
        if (target.isOnce) await ledger.release(deadLetter)
        return outcome
      case 'still_invalid':
      case 'outcome_unknown':
        return outcome
      default:
        return (await ledger.confirm(deadLetter)) || again ? outcome : ALREADY_REPLAYED
    }
  }

  /** Reads the records from the topic that the dead letters do not contain completely. */
  async function findOriginals(
    deadLetters: readonly StoredDeadLetter[],
  ): Promise<Map<StoredDeadLetter, Original>> {
    const isWanted = ({ original, isKeyCut, source }: StoredDeadLetter) =>
      source.topic === sourceTopic && (target.wantsSource || isKeyCut || original.kind === 'cut')
    const wanted = deadLetters.filter(isWanted)
    const found = await finder.find(
      wanted.map(({ source }) => source),
      stop,
    )
    const originals = new Map(deadLetters.map((deadLetter) => [deadLetter, carriedOriginal(deadLetter)]))
    for (const [i, deadLetter] of wanted.entries()) {
      const answer = found[i]
      const copy = originals.get(deadLetter)
      if (answer === undefined) continue
      if (answer.kind === 'found' && isSameRecord(answer.record, deadLetter)) {
        originals.set(deadLetter, { kind: 'found', record: answer.record })
      } else if (copy?.kind !== 'found') {
        const { offset, partition } = deadLetter.source
        const reason =
          answer.kind === 'gone'
            ? answer.reason
            : `${sourceTopic} ${partition}:${offset} is a different record now`
        originals.set(deadLetter, { kind: 'gone', reason })
      }
    }
    return originals
  }
}

type Original =
  | { readonly kind: 'found'; readonly record: SourceRecord }
  | { readonly kind: 'gone'; readonly reason: string }

const ALREADY_REPLAYED: ReplayOutcome = { result: 'already_replayed' }
const CLAIMED: ReplayOutcome = {
  result: 'outcome_unknown',
  detail:
    'an earlier replay to the topic started and its outcome was not recorded: look for the record in the topic',
}

function outcomeFromLedger(state: LedgerState, isOnce: boolean): ReplayOutcome | undefined {
  switch (state) {
    case 'confirmed':
      return ALREADY_REPLAYED
    case 'claimed':
      return isOnce ? CLAIMED : undefined
    case 'new':
      return undefined
  }
}

/** The record as stored in the dead letter, which does not include the record's headers. */
function carriedOriginal(deadLetter: StoredDeadLetter): Original {
  const { isKeyCut, key, original, source } = deadLetter
  if (original.kind === 'cut' || isKeyCut) {
    return {
      kind: 'gone',
      reason: `the dead letter does not contain the whole record, which came from topic ${source.topic}`,
    }
  }
  return {
    kind: 'found',
    record: {
      offset: source.offset,
      timestampMs: source.timestampMs,
      key,
      value: original.kind === 'tombstone' ? null : original.bytes,
    },
  }
}

/** False if the topic has been recreated since then and another record has these coordinates. */
function isSameRecord(record: SourceRecord, { key, original, source }: StoredDeadLetter): boolean {
  const known = original.kind === 'tombstone' ? undefined : original.bytes
  return (
    record.timestampMs === source.timestampMs &&
    (key === null
      ? record.key === null || record.key.length === 0
      : record.key?.subarray(0, key.length).equals(key) === true) &&
    (known === undefined || record.value?.subarray(0, known.length).equals(known) === true)
  )
}

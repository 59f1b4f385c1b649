import type { SourceRecord } from '../../core/records/source-record.ts'
import type { StoredDeadLetter } from '../../core/dead-letters/stored-dead-letter.ts'
import type { RecordFinder } from '../../kafka/record-finder.ts'
import type { LedgerState, ReplayLedger } from '../../redis/workers/replay-ledger.ts'
import type { ReplayOutcome, ReplayTarget } from './replay-target.ts'

export type ReplayDependencies = {
  readonly target: ReplayTarget
  /** Of the topic that the workers read. */
  readonly sourceTopic: string
  readonly finder: RecordFinder
  readonly ledger: ReplayLedger
  /** Dead letters that have been replayed before are replayed again. */
  readonly again: boolean
  readonly isDryRun: boolean
  readonly stop: AbortSignal
}

/** What became of each dead letter, in their order. Rejects with a ServiceError if Kafka or Redis could not be asked. */
export type Replay = (deadLetters: readonly StoredDeadLetter[]) => Promise<ReplayOutcome[]>

/**
 * A dead letter's way: was it replayed before? → the record as it was → may it be sent? → sent, and written down.
 *
 * To the cache it is written down afterwards: a crash in between costs a second write of the same, which is
 * harmless. To the topic it is claimed before and confirmed afterwards: what was claimed and never confirmed may be
 * in the topic or not, is reported as such, and is sent again only with `again`.
 */
export function createReplay(dependencies: ReplayDependencies): Replay {
  const { again, finder, isDryRun, ledger, sourceTopic, stop, target } = dependencies

  return async function replay(deadLetters) {
    const states = again ? deadLetters.map((): LedgerState => 'new') : await ledger.look(deadLetters)
    const outcomes = deadLetters.map((_, i) => fromLedger(states[i] ?? 'new', target.isOnce))
    const originals = await findOriginals(deadLetters.filter((_, i) => outcomes[i] === undefined))
    // What concerns one device goes one after the other, in the order of the dead letters.
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
      return { result: 'original_gone', detail: original?.why ?? 'it was not looked for' }
    }
    const { record } = original
    const refusal = target.refuse(record, deadLetter)
    if (refusal !== undefined) return refusal
    if (isDryRun) return await target.preview(record, deadLetter)
    if (target.isOnce && !(await ledger.claim(deadLetter)) && !again) {
      const [state] = await ledger.look([deadLetter])
      return fromLedger(state ?? 'claimed', true) ?? CLAIMED
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
        return (await ledger.confirm(deadLetter)) || again ? outcome : ALREADY
    }
  }

  /** Reads from the topic what the dead letters do not carry. */
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
    const originals = new Map(deadLetters.map((deadLetter) => [deadLetter, carried(deadLetter)]))
    for (const [i, deadLetter] of wanted.entries()) {
      const answer = found[i]
      const carriedRecord = originals.get(deadLetter)
      if (answer === undefined) continue
      if (answer.kind === 'found' && isSameRecord(answer.record, deadLetter)) {
        originals.set(deadLetter, { kind: 'found', record: answer.record })
      } else if (carriedRecord?.kind !== 'found') {
        const why =
          answer.kind === 'gone' ? answer.why : `another record is at its place in ${sourceTopic} now`
        originals.set(deadLetter, { kind: 'gone', why })
      }
    }
    return originals
  }
}

type Original =
  { readonly kind: 'found'; readonly record: SourceRecord } | { readonly kind: 'gone'; readonly why: string }

const ALREADY: ReplayOutcome = { result: 'already_replayed' }
const CLAIMED: ReplayOutcome = {
  result: 'outcome_unknown',
  detail: 'a replay to the topic began with it and did not say how it ended: look for it in the topic',
}

function fromLedger(state: LedgerState, isOnce: boolean): ReplayOutcome | undefined {
  switch (state) {
    case 'confirmed':
      return ALREADY
    case 'claimed':
      return isOnce ? CLAIMED : undefined
    case 'new':
      return undefined
  }
}

/** The record as the dead letter carries it; its headers it does not carry. */
function carried(deadLetter: StoredDeadLetter): Original {
  const { isKeyCut, key, original, source } = deadLetter
  if (original.kind === 'cut' || isKeyCut) {
    return {
      kind: 'gone',
      why: `the dead letter has no room for it, and it came from the topic ${source.topic}`,
    }
  }
  return {
    kind: 'found',
    record: {
      offset: String(source.offset),
      timestamp: source.timestamp,
      key,
      value: original.kind === 'tombstone' ? null : original.bytes,
    },
  }
}

/** False if the topic was created again since, and something else lies at those coordinates. */
function isSameRecord(record: SourceRecord, { key, original, source }: StoredDeadLetter): boolean {
  const known = original.kind === 'tombstone' ? undefined : original.bytes
  return (
    record.timestamp === source.timestamp &&
    (key === null
      ? record.key === null || record.key.length === 0
      : record.key?.subarray(0, key.length).equals(key) === true) &&
    (known === undefined || record.value?.subarray(0, known.length).equals(known) === true)
  )
}

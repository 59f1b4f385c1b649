import type { Redis } from 'ioredis'
import { replayedKey } from '../../../shared/contract/keys.ts'
import { answered } from '../answered.ts'

/** A dead letter by its own coordinates in the error topic. */
export type DeadLetterPlace = { readonly partition: number; readonly offset: number }

/**
 * Which dead letters have been replayed, kept in Redis, so that each is replayed at most once: also by two who do it at
 * the same time, and by those who do it tomorrow. Every call rejects with a ServiceError.
 *
 * Two bits a dead letter, claimed and confirmed, in bitmaps of 16 KiB for 65,536 dead letters. A bitmap is forgotten when
 * nobody has written to it for longer than the error topic keeps its dead letters.
 */
export type ReplayLedger = {
  /** For each dead letter whether it is confirmed, or claimed by somebody who may have died since. */
  look(deadLetters: readonly DeadLetterPlace[]): Promise<LedgerState[]>
  /** False if somebody else has claimed it before. */
  claim(deadLetter: DeadLetterPlace): Promise<boolean>
  /** Nothing has happened, for certain: another may try. */
  release(deadLetter: DeadLetterPlace): Promise<void>
  /** False if somebody else has confirmed it before. */
  confirm(deadLetter: DeadLetterPlace): Promise<boolean>
}

export type LedgerState = 'new' | 'claimed' | 'confirmed'

const LETTERS_PER_KEY = 65_536

/** @param keepMs how long a dead letter is remembered at least; undefined: for ever. */
export function createReplayLedger(
  redis: Redis,
  errorTopic: string,
  keepMs: number | undefined,
): ReplayLedger {
  const keyOf = ({ partition, offset }: DeadLetterPlace) =>
    replayedKey(errorTopic, partition, Math.floor(offset / LETTERS_PER_KEY))
  const claimBit = ({ offset }: DeadLetterPlace) => (offset % LETTERS_PER_KEY) * 2
  const confirmBit = (deadLetter: DeadLetterPlace) => claimBit(deadLetter) + 1

  /** Resolves with the bit as it was. */
  async function set(deadLetter: DeadLetterPlace, bit: number, value: 0 | 1): Promise<number> {
    const key = keyOf(deadLetter)
    const [before] = await answered(
      Promise.all([
        redis.setbit(key, bit, value),
        keepMs === undefined ? redis.persist(key) : redis.pexpire(key, keepMs),
      ]),
    )
    return before
  }

  return {
    async look(deadLetters) {
      const states = deadLetters.map(async (deadLetter): Promise<LedgerState> => {
        const [claimed, confirmed] = await Promise.all([
          redis.getbit(keyOf(deadLetter), claimBit(deadLetter)),
          redis.getbit(keyOf(deadLetter), confirmBit(deadLetter)),
        ])
        return confirmed === 1 ? 'confirmed' : claimed === 1 ? 'claimed' : 'new'
      })
      return await answered(Promise.all(states))
    },
    claim: async (deadLetter) => (await set(deadLetter, claimBit(deadLetter), 1)) === 0,
    release: async (deadLetter) => void (await set(deadLetter, claimBit(deadLetter), 0)),
    confirm: async (deadLetter) => (await set(deadLetter, confirmBit(deadLetter), 1)) === 0,
  }
}

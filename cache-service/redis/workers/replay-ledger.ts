import type { Redis } from 'ioredis'
import { replayedKey } from '../../../shared/contract/keys.ts'
import { answered } from '../answered.ts'

/** A letter by its own coordinates in the error topic. */
export type LetterPlace = { readonly partition: number; readonly offset: number }

/**
 * Which letters have been replayed, kept in Redis, so that each is replayed at most once: also by two who do it at
 * the same time, and by those who do it tomorrow. Every call rejects with a ServiceError.
 *
 * Two bits a letter, claimed and confirmed, in bitmaps of 16 KiB for 65,536 letters. A bitmap is forgotten when
 * nobody has written to it for longer than the error topic keeps its letters.
 */
export type ReplayLedger = {
  /** For each letter whether it is confirmed, or claimed by somebody who may have died since. */
  look(letters: readonly LetterPlace[]): Promise<LedgerState[]>
  /** False if somebody else has claimed it before. */
  claim(letter: LetterPlace): Promise<boolean>
  /** Nothing has happened, for certain: another may try. */
  release(letter: LetterPlace): Promise<void>
  /** False if somebody else has confirmed it before. */
  confirm(letter: LetterPlace): Promise<boolean>
}

export type LedgerState = 'new' | 'claimed' | 'confirmed'

const LETTERS_PER_KEY = 65_536

/** @param keepMs how long a letter is remembered at least; undefined: for ever. */
export function createReplayLedger(
  redis: Redis,
  errorTopic: string,
  keepMs: number | undefined,
): ReplayLedger {
  const keyOf = ({ partition, offset }: LetterPlace) =>
    replayedKey(errorTopic, partition, Math.floor(offset / LETTERS_PER_KEY))
  const claimBit = ({ offset }: LetterPlace) => (offset % LETTERS_PER_KEY) * 2
  const confirmBit = (letter: LetterPlace) => claimBit(letter) + 1

  /** Resolves with the bit as it was. */
  async function set(letter: LetterPlace, bit: number, value: 0 | 1): Promise<number> {
    const key = keyOf(letter)
    const [before] = await answered(
      Promise.all([
        redis.setbit(key, bit, value),
        keepMs === undefined ? redis.persist(key) : redis.pexpire(key, keepMs),
      ]),
    )
    return before
  }

  return {
    async look(letters) {
      const states = letters.map(async (letter): Promise<LedgerState> => {
        const [claimed, confirmed] = await Promise.all([
          redis.getbit(keyOf(letter), claimBit(letter)),
          redis.getbit(keyOf(letter), confirmBit(letter)),
        ])
        return confirmed === 1 ? 'confirmed' : claimed === 1 ? 'claimed' : 'new'
      })
      return await answered(Promise.all(states))
    },
    claim: async (letter) => (await set(letter, claimBit(letter), 1)) === 0,
    release: async (letter) => void (await set(letter, claimBit(letter), 0)),
    confirm: async (letter) => (await set(letter, confirmBit(letter), 1)) === 0,
  }
}

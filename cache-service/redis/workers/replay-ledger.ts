import type { Coordinates } from '../../core/records/coordinates.ts'
import { replayedKey } from '../../../shared/contract/keys.ts'
import { redisReply } from '../reply.ts'
import type { RedisClient } from '../redis-client.ts'

/**
 * Records in Redis which dead letters have been replayed, so that each is replayed at most once, also by concurrent
 * and by later replays. Every call rejects with a ServiceError.
 *
 * A dead letter has two bits, claimed and confirmed, in bitmaps of 16 KiB for 65,536 dead letters each. A bitmap
 * expires when it has not been written to for longer than the error topic keeps its dead letters.
 */
export type ReplayLedger = {
  /** The state of each dead letter. The replay that claimed one may have died since. */
  look(deadLetters: readonly Coordinates[]): Promise<LedgerState[]>
  /** Resolves with false if another replay has already claimed it. */
  claim(deadLetter: Coordinates): Promise<boolean>
  /** For a dead letter that has certainly not been replayed: another replay may claim it. */
  release(deadLetter: Coordinates): Promise<void>
  /** Resolves with false if another replay has already confirmed it. */
  confirm(deadLetter: Coordinates): Promise<boolean>
}

export type LedgerState = 'new' | 'claimed' | 'confirmed'

const DEAD_LETTERS_PER_KEY = 65_536

/** @param keepMs minimum time for which a dead letter is remembered; undefined: without limit. */
export function createReplayLedger(
  redis: RedisClient,
  errorTopic: string,
  keepMs: number | undefined,
): ReplayLedger {
  const keyOf = ({ partition, offset }: Coordinates) =>
    replayedKey(errorTopic, partition, Math.floor(offset / DEAD_LETTERS_PER_KEY))
  const claimBit = ({ offset }: Coordinates) => (offset % DEAD_LETTERS_PER_KEY) * 2
  const confirmBit = (deadLetter: Coordinates) => claimBit(deadLetter) + 1

  /** Resolves with the previous value of the bit. */
  async function set(deadLetter: Coordinates, bit: number, value: 0 | 1): Promise<number> {
    const key = keyOf(deadLetter)
    const [before] = await redisReply(
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
      return await redisReply(Promise.all(states))
    },
    claim: async (deadLetter) => (await set(deadLetter, claimBit(deadLetter), 1)) === 0,
    release: async (deadLetter) => void (await set(deadLetter, claimBit(deadLetter), 0)),
    confirm: async (deadLetter) => (await set(deadLetter, confirmBit(deadLetter), 1)) === 0,
  }
}

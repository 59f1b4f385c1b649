import { messageOf } from '../../../shared/errors.ts'
import type { Session } from '../session.ts'

/** Who is waited for, however long: said once when it is lost and once when it is back, not at every attempt. */
export type Outage = {
  failed(error: unknown): void
  hasEnded(): void
}

/** @param who as in `lost the API`. */
export function createOutage(session: Pick<Session, 'log' | 'say'>, who: string): Outage {
  let isAway = false
  return {
    failed(error) {
      if (!isAway) session.say(`lost ${who}: trying again until it is back`)
      isAway = true
      session.log.debug(`${who}: ${messageOf(error)}`)
    },
    hasEnded() {
      if (isAway) session.say(`${who} is back`)
      isAway = false
    },
  }
}

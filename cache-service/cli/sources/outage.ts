import { messageOf } from '../../../shared/errors.ts'
import type { Session } from '../session.ts'

/** A server that a command waits for: reports once when it is lost and once when it is back, not at every attempt. */
export type Outage = {
  failed(error: unknown): void
  ended(): void
}

/** @param server as in `lost the connection to the API`. */
export function createOutage(session: Pick<Session, 'info' | 'log'>, server: string): Outage {
  let isAway = false
  return {
    failed(error) {
      if (!isAway) session.info(`lost the connection to ${server}: retrying until it is back`)
      isAway = true
      session.log.debug(`${server}: ${messageOf(error)}`)
    },
    ended() {
      if (isAway) session.info(`${server} is back`)
      isAway = false
    },
  }
}

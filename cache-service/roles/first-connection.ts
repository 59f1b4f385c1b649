import { settledWithin } from '../lifecycle/sleep.ts'

const FIRST_CONNECT_MS = 1_000

/**
 * Gives the first connections a moment. With healthy servers, the first commands then find a connection, and nothing is
 * logged as failed; otherwise the role starts without them.
 */
export async function awaitFirstConnection(connecting: Promise<unknown>): Promise<void> {
  await settledWithin(connecting, FIRST_CONNECT_MS)
}

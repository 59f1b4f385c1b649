/**
 * Every reason why a process may not be ready; `…` and `<…>` stand for any text. Checks can return no other text, and a test
 * compares the list with the table in docs/runbook.md.
 */
export const NOT_READY_REASONS = [
  'starting',
  'stopping',
  'not in the consumer group: …',
  'no answer from Kafka: …',
  'shared group: …',
  'unread: partition …',
  'holding: <side> <code>: … (partition…)',
  'Redis at … has not accepted a write: …',
  'Redis at … has not answered a read: …',
  'wrong type of key: …',
  'Redis at … does not run scripts: …',
  'comparing: …',
  'rebuilding: …',
  'not following the event streams: …',
  'API_TOKENS_FILE cannot be used: …',
  'not subscribed to …: …',
  'lag: …',
] as const

type FilledIn<Text extends string> = Text extends `${infer Before}<${string}>${infer After}`
  ? `${Before}${string}${FilledIn<After>}`
  : Text extends `${infer Before}…${infer After}`
    ? `${Before}${string}${FilledIn<After>}`
    : Text

export type NotReadyReason = FilledIn<(typeof NOT_READY_REASONS)[number]>

/** Returns why a process is not ready, as human-readable reasons; empty if it is. Called for every `/readyz`. */
export type ReadinessCheck = () => readonly NotReadyReason[]

export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] }

export function readiness(checks: readonly ReadinessCheck[]): Readiness {
  const reasons = checks.flatMap((check) => check())
  return { ready: reasons.length === 0, reasons }
}

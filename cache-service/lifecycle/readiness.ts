/** Returns why a process is not ready, as human-readable reasons; empty if it is. Called for every `/readyz`. */
export type ReadinessCheck = () => readonly string[]

export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] }

export function readiness(checks: readonly ReadinessCheck[]): Readiness {
  const reasons = checks.flatMap((check) => check())
  return { ready: reasons.length === 0, reasons }
}

/** Why a process is not ready, in words for people; empty when it is. Asked at every `/readyz`. */
export type ReadinessCheck = () => readonly string[]

export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] }

export function readiness(checks: readonly ReadinessCheck[]): Readiness {
  const reasons = checks.flatMap((check) => check())
  return { ready: reasons.length === 0, reasons }
}

import type { LoopMonitor } from '../lifecycle/loops.ts'
import { readiness, type ReadinessCheck } from '../lifecycle/readiness.ts'

/** The reply of `/livez`. */
export function livenessReply(monitor: LoopMonitor) {
  const stuck = monitor.stuck()
  const alive = stuck.length === 0
  const status: 200 | 503 = alive ? 200 : 503
  return { status, body: { alive, stuck } }
}

/** The reply of `/readyz`. */
export function readinessReply(checks: readonly ReadinessCheck[]) {
  const { ready, reasons } = readiness(checks)
  const status: 200 | 503 = ready ? 200 : 503
  return { status, body: { ready, reasons: [...reasons] } }
}

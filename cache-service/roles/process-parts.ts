import type { Clocks } from '../lifecycle/clocks.ts'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'
import type { ReleaseStack } from '../lifecycle/release-stack.ts'
import type { Service } from '../lifecycle/service.ts'
import type { ProcessMetrics } from '../telemetry/process-metrics.ts'
import type { RoleContext } from './role-context.ts'

/** What the roles of a process share. */
export type ProcessParts = Clocks & {
  readonly metrics: ProcessMetrics
  readonly monitor: LoopMonitor
  /** Releases what the roles have opened. */
  readonly releases: ReleaseStack
  readonly random: () => number
}

export type OpenedRole = {
  readonly services: readonly Service[]
  readonly checks: readonly ReadinessCheck[]
}

/** Opens a role as a part of a process. Rejects with an OperatorError if a setting prevents it from ever working. */
export type OpenRole = (context: RoleContext, parts: ProcessParts) => Promise<OpenedRole>

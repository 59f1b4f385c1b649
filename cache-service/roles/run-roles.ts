import { openHealthServer } from '../http/health-server.ts'
import type { Clocks } from '../lifecycle/clocks.ts'
import { createLoop, LoopMonitor } from '../lifecycle/loops.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'
import { ReleaseStack } from '../lifecycle/release-stack.ts'
import { runServices } from '../lifecycle/service.ts'
import { createProcessTelemetry } from '../telemetry/process-telemetry.ts'
import { createProcessMetrics } from '../telemetry/process-metrics.ts'
import type { OpenedRole, OpenRole } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'

const READINESS_INTERVAL_MS = 250

/**
 * Runs these roles in one process until `context.stop` aborts. They share one health server and one set of metrics, and
 * the failure of one role stops all of them. Rejects with an OperatorError if a setting prevents a role from ever
 * working, and with any other error for a bug.
 *
 * @param name of the roles as a whole.
 */
export async function runRoles(
  context: RoleContext,
  name: string,
  roles: readonly OpenRole[],
): Promise<void> {
  const { config, log, stop, version } = context
  const clocks: Clocks = { now: () => Date.now(), monotonicNow: () => performance.now() }
  const monitor = new LoopMonitor(clocks.monotonicNow)
  const releases = new ReleaseStack()
  const metrics = createProcessMetrics(version, context.nodeVersion, name)
  const telemetry = createProcessTelemetry(log, clocks.monotonicNow)
  releases.push('process', () => telemetry.stopped())
  try {
    const opened: OpenedRole[] = []
    const checks: ReadinessCheck[] = [
      () => (stop.aborted ? ['stopping'] : []),
      () => (opened.length < roles.length ? ['starting'] : []),
      () => opened.flatMap((role) => role.checks.flatMap((check) => check())),
    ]
    const { metricsHost, metricsPort } = config.process
    const health = await openHealthServer(metricsHost, metricsPort, {
      monitor,
      checks,
      metrics: metrics.registry,
    })
    releases.push('health server', () => health.close())
    telemetry.started({ version, role: name, health: health.url })
    for (const open of roles) {
      opened.push(
        await open(context, {
          metrics,
          monitor,
          releases,
          ...clocks,
          random: () => Math.random(),
        }),
      )
    }
    const readinessLoop = createLoop({
      name: 'readiness',
      everyMs: READINESS_INTERVAL_MS,
      monitor,
      turn: async () => telemetry.readiness(checks),
      failed: (error) => telemetry.loopFailed('readiness', error),
    })
    await runServices([...opened.flatMap((role) => role.services), readinessLoop], stop)
  } finally {
    await releases.releaseAll()
  }
}

import { createApiMetrics } from '../../../cache-service/telemetry/api-metrics.ts'
import { createCanaryMetrics } from '../../../cache-service/telemetry/canary-metrics.ts'
import { createLagMetrics } from '../../../cache-service/telemetry/lag-metrics.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { createUpdaterMetrics } from '../../../cache-service/telemetry/updater-metrics.ts'
import { createWorkerMetrics } from '../../../cache-service/telemetry/worker-metrics.ts'

const OPERATORS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'by', 'on', 'without', 'ignoring'])
const GROUPINGS = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g

/** The names of metrics and recorded series in an expression whose syntax promtool has checked. */
export function metricNamesIn(expression: string): readonly string[] {
  const plain = expression
    .replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, '')
    .replaceAll(GROUPINGS, '')
  return [...plain.matchAll(/(?<![\w.:$])[a-zA-Z_:][\w:]*(?![\w:])(?!\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !OPERATORS.has(name))
}

/** The series that a process with all roles exposes, and with them the values of closed label sets. */
export async function ownMetrics(): Promise<{ names: ReadonlySet<string>; exposition: string }> {
  const processMetrics = createProcessMetrics('0', '0', 'all')
  createWorkerMetrics(processMetrics, 'topic')
  createApiMetrics(processMetrics)
  createUpdaterMetrics(processMetrics)
  createLagMetrics(processMetrics)
  createCanaryMetrics(processMetrics)
  const { registry } = processMetrics
  const names = registry
    .getMetricsAsArray()
    .flatMap(({ name }) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`])
  return { names: new Set(names), exposition: await registry.metrics() }
}

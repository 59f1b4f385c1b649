import { openWorkerScenario, type ScenarioOptions, type WorkerScenario } from './worker-scenario.ts'

/** Uses a scenario outside of a test, and releases it afterwards, whatever happens. */
export async function withWorkerScenario<T>(
  options: ScenarioOptions & Required<Pick<ScenarioOptions, 'kafka' | 'ownRedis'>>,
  use: (scenario: WorkerScenario) => Promise<T>,
): Promise<T> {
  const releases: (() => Promise<void> | void)[] = []
  const reports: (() => void)[] = []
  const context = {
    onTestFinished: (release: () => Promise<void> | void) => void releases.push(release),
    onTestFailed: (report: () => void) => void reports.push(report),
  }
  let outcome: { readonly value: T } | { readonly error: unknown }
  try {
    outcome = { value: await use(await openWorkerScenario(context, options)) }
  } catch (error) {
    outcome = { error }
    for (const report of reports) report()
  }
  for (const release of releases) {
    try {
      await release()
    } catch (error) {
      // What failed first is reported.
      if ('value' in outcome) outcome = { error }
    }
  }
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

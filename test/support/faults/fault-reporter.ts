import { relative } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'
import { repository } from '../repository.ts'
import { addResults, localResultsPath, type FaultResult } from './fault-results.ts'

/** Keeps what the tests saw of the faults they made, in .cache; `make faults` publishes it in docs/faults.md. */
export default class FaultReporter implements Reporter {
  // After each file, so that a run that is interrupted has not been in vain.
  onTestModuleEnd(module: TestModule): void {
    const date = new Date().toISOString().slice(0, 10)
    const results: FaultResult[] = []
    for (const test of module.children.allTests()) {
      const passed = test.result().state === 'passed'
      const name = `${relative(repository, module.moduleId)}: ${test.fullName}`
      for (const sighting of test.meta().faults ?? []) {
        results.push({ ...sighting, test: name, passed, date })
      }
    }
    if (results.length > 0) addResults(localResultsPath, results)
  }
}

import type { TestContext } from 'vitest'
import type { FaultId } from './catalogue.ts'
import type { ScenarioFigures } from './fault-results.ts'

/** What one test saw of a fault; the reporter keeps it for docs/faults.md if the test passes. */
export type FaultSighting = {
  readonly id: FaultId
  /** A part of a sentence: what the test saw while the fault lasted. Without `|`. */
  seen: string
  /** From the end of the fault until everything was right again; undefined: nothing to recover from. */
  recoveryMs?: number
  /** Of a scenario with clients attached. */
  scenario?: ScenarioFigures
}

declare module 'vitest' {
  interface TaskMeta {
    faults?: FaultSighting[]
  }
}

export type FaultReport = {
  /** Adds to what the table shows as seen. Measured values belong here: '503 after 0.4 s', '3 warnings'. */
  saw(text: string): void
  /** Call it when the fault ends, and what it returns when everything is right again: that returns the milliseconds. */
  startRecovery(): () => number
  /** For the table of docs/reliability.md. */
  measured(scenario: ScenarioFigures): void
}

/**
 * Declares that the running test makes a fault of the catalogue.
 *
 *     test('when Redis is killed', async (context) => {
 *       const report = reportFault(context, 'R2')
 *       await redisServer.kill('SIGKILL')
 *       report.saw('/readyz 503')
 *       const recovered = report.startRecovery()
 *       await redisServer.start()
 *       await oracle.assertCaughtUp()
 *       recovered()
 */
export function reportFault({ task }: Pick<TestContext, 'task'>, id: FaultId): FaultReport {
  const sighting: FaultSighting = { id, seen: '' }
  task.meta.faults = [...(task.meta.faults ?? []), sighting]
  return {
    saw(text) {
      sighting.seen = sighting.seen === '' ? text : `${sighting.seen}; ${text}`
    },
    startRecovery() {
      const startedAt = performance.now()
      return () => {
        const tookMs = Math.round(performance.now() - startedAt)
        sighting.recoveryMs = Math.max(sighting.recoveryMs ?? 0, tookMs)
        return tookMs
      }
    },
    measured(scenario) {
      sighting.scenario = scenario
    },
  }
}

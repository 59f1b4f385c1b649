import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { repository } from '../repository.ts'

const scenarioSchema = z.object({
  name: z.string(),
  /** From the end of the fault until all were ready and had caught up with what Kafka had at its end. */
  recoveryMs: z.number(),
  /** Records that were consumed more than once. */
  readAgain: z.number(),
  lookups: z.number(),
  failedLookups: z.number(),
  /** Devices that a client saw go back or vanish, and the longest time until they were as new as before again. */
  outdatedDevices: z.number(),
  outdatedMs: z.number(),
  /** Events with which the client of the event stream was asked to read everything again. */
  resets: z.number(),
})

/** What a scenario with clients attached measured. */
export type ScenarioFigures = z.infer<typeof scenarioSchema>

const resultsSchema = z.record(
  z.string(),
  z.object({
    id: z.string(),
    /** The file of the test and its full name. */
    test: z.string(),
    passed: z.boolean(),
    seen: z.string(),
    recoveryMs: z.number().optional(),
    scenario: scenarioSchema.optional(),
    /** UTC date, 2026-11-26. */
    date: z.string(),
  }),
)

/** The last result of each test that made a fault, by fault and test. */
export type FaultResults = z.infer<typeof resultsSchema>
export type FaultResult = FaultResults[string]

/** What was run on this machine, since the last `make faults` or before. */
export const localResultsPath = join(repository, '.cache/faults/results.json')
/** What docs/faults.md shows. */
export const publishedResultsPath = join(repository, 'test/faults/results.json')

export function readResults(path: string): FaultResults {
  try {
    return resultsSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
}

export function addResults(path: string, results: readonly FaultResult[]): void {
  const all = readResults(path)
  for (const result of results) all[`${result.id} ${result.test}`] = result
  mkdirSync(dirname(path), { recursive: true })
  const sorted = Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(path, `${JSON.stringify(sorted, undefined, 2)}\n`)
}

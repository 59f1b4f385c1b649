import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { repository } from '../repository.ts'

export type SimulationResult = { readonly schedules: number } & (
  | { readonly outcome: 'passed' }
  /** `report`: the seed, the smallest schedule that fails, and what happens in it. */
  | { readonly outcome: 'failed'; readonly seed: number; readonly why: string; readonly report: string }
)

/** Each schedule leaves much garbage behind: a larger nursery saves a tenth of the processor time. */
const NODE_FLAGS = ['--max-semi-space-size=64']

/**
 * Runs the simulation in a process of its own, because it replaces the timers.
 *
 * @param mutation a fault to put into the code (test/simulation/mutations.ts).
 */
export async function runSimulation(args: readonly string[], mutation?: string): Promise<SimulationResult> {
  const mutate = mutation === undefined ? [] : ['--import', './test/simulation/mutate.ts']
  const command = [...NODE_FLAGS, ...mutate, 'test/simulation/simulate.ts', '--json', ...args]
  const env = { ...process.env, ...(mutation !== undefined && { MUTATION: mutation }) }
  const run = promisify(execFile)(process.execPath, command, { cwd: repository, env, maxBuffer: 2 ** 26 })
  const { stdout } = await run.catch((error: { stdout: string; stderr: string; code: number }) => {
    if (error.code !== 1) throw error
    return error
  })
  return JSON.parse(stdout) as SimulationResult
}

/** A random one that leaves this rest when it is divided by 3: with 2, Redis is a Cluster. */
export function freshSeed(rest: 0 | 1 | 2): number {
  return 3 * Math.floor(Math.random() * 3e8) + rest
}

/** Rejects with the report of a failure. */
export async function simulateWithoutFailure(args: readonly string[]): Promise<void> {
  const result = await runSimulation(args)
  if (result.outcome === 'failed') throw new Error(result.report)
}

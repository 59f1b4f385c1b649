import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { repository } from '../support/repository.ts'
import { MUTATIONS } from './mutations.ts'

/** Seeds that failed once, because of the worker or of the simulation. */
const OLD_SEEDS = [13, 14, 429]

type Result = {
  readonly outcome: 'passed' | 'failed'
  readonly seed?: number
  readonly why?: string
  readonly schedules: number
}

/** In a process of its own, because the simulation replaces the timers. */
async function simulate(args: readonly string[], mutation?: string): Promise<Result> {
  const flags = mutation === undefined ? [] : ['--import', './test/simulation/mutate.ts']
  const command = [...flags, 'test/simulation/simulate.ts', '--json', ...args]
  const env = { ...process.env, ...(mutation !== undefined && { MUTATION: mutation }) }
  const run = promisify(execFile)(process.execPath, command, { cwd: repository, env, maxBuffer: 2 ** 26 })
  const { stdout } = await run.catch((error: { stdout: string; stderr: string; code: number }) => {
    if (error.code !== 1) throw error
    return error
  })
  return JSON.parse(stdout) as Result
}

describe('with faults drawn from a seed, everything ends as the model says', () => {
  test('for fresh seeds', async () => {
    const result = await simulate(['--seconds', '20'])
    expect(result).toMatchObject({ outcome: 'passed' })
    expect(result.schedules).toBeGreaterThan(0)
  })

  test.each(OLD_SEEDS)('for seed %i, which failed once', async (seed) => {
    expect(await simulate(['--from', String(seed), '--seconds', '0.001'])).toMatchObject({
      outcome: 'passed',
    })
  })
})

describe.concurrent('the simulation finds that', () => {
  test.each(Object.keys(MUTATIONS))('%s', async (mutation) => {
    expect(await simulate(['--from', '1', '--seconds', '60'], mutation)).toMatchObject({ outcome: 'failed' })
  })
})

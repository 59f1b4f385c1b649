import { describe, expect, test } from 'vitest'
import { runSimulation } from '../support/processes/run-simulation.ts'

/** Seeds that failed once, because of the worker or of the simulation. */
const OLD_SEEDS = [13, 14, 429]

describe('with faults drawn from a seed, everything ends as the model says', () => {
  test('for fresh seeds', async () => {
    const result = await runSimulation(['--seconds', '15'])
    expect(result).toMatchObject({ outcome: 'passed' })
    expect(result.schedules).toBeGreaterThan(0)
  })

  test.each(OLD_SEEDS)('for seed %i, which failed once', async (seed) => {
    const result = await runSimulation(['--from', String(seed), '--seconds', '0.001'])
    expect(result).toMatchObject({ outcome: 'passed' })
  })
})

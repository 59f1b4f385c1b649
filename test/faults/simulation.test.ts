import { describe, expect, test } from 'vitest'
import { CLUSTER_MUTATIONS, MUTATIONS } from '../simulation/mutations.ts'
import { freshSeed, runSimulation, simulateWithoutFailure } from '../support/processes/run-simulation.ts'

test('the simulation finds no failure with a minute of fresh seeds of Clusters', () =>
  simulateWithoutFailure(['--from', String(freshSeed(2)), '--step', '3', '--seconds', '60']))

describe('the simulation finds that', () => {
  test.each(Object.keys(MUTATIONS))('%s', async (mutation) => {
    const seeds = mutation in CLUSTER_MUTATIONS ? ['--from', '2', '--step', '3'] : ['--from', '1']
    expect(await runSimulation([...seeds, '--seconds', '60'], mutation)).toMatchObject({
      outcome: 'failed',
    })
  })
})

import { describe, expect, test } from 'vitest'
import { CLUSTER_MUTATIONS, MUTATIONS } from '../simulation/mutations.ts'
import { runSimulation } from '../support/processes/run-simulation.ts'

describe('the simulation finds that', () => {
  test.each(Object.keys(MUTATIONS))('%s', async (mutation) => {
    const seeds = mutation in CLUSTER_MUTATIONS ? ['--from', '2', '--step', '3'] : ['--from', '1']
    expect(await runSimulation([...seeds, '--seconds', '60'], mutation)).toMatchObject({
      outcome: 'failed',
    })
  })
})

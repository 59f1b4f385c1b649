import { describe, expect, test } from 'vitest'
import { CLUSTER_MUTATIONS, MUTATIONS } from '../simulation/mutations.ts'
import { runSimulation, simulateWithoutFailure } from '../support/processes/run-simulation.ts'

// Of one server: those of Clusters still find combinations of losses and moves that go unnoticed.
test('the simulation finds no failure with a minute of fresh seeds', () => {
  const first = 3 * Math.floor(Math.random() * 3e8)
  return simulateWithoutFailure(['--from', String(first), '--step', '3', '--seconds', '60'])
})

describe('the simulation finds that', () => {
  test.each(Object.keys(MUTATIONS))('%s', async (mutation) => {
    const seeds = mutation in CLUSTER_MUTATIONS ? ['--from', '2', '--step', '3'] : ['--from', '1']
    expect(await runSimulation([...seeds, '--seconds', '60'], mutation)).toMatchObject({
      outcome: 'failed',
    })
  })
})

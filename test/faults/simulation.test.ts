import { describe, expect, test } from 'vitest'
import { MUTATIONS } from '../simulation/mutations.ts'
import { runSimulation, simulateWithoutFailure } from '../support/processes/run-simulation.ts'

test('the simulation finds no failure with a minute of fresh seeds', () =>
  simulateWithoutFailure(['--seconds', '60']))

describe('the simulation finds that', () => {
  test.each(Object.keys(MUTATIONS))('%s', async (mutation) => {
    expect(await runSimulation(['--from', '1', '--seconds', '60'], mutation)).toMatchObject({
      outcome: 'failed',
    })
  })
})

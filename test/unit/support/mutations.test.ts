import { expect, test } from 'vitest'
import { MUTATIONS } from '../../simulation/mutations.ts'
import { editSources } from '../../support/source-edits.ts'

// Only `make faults` shows that the simulation finds them.
test.each(Object.entries(MUTATIONS))('the planted fault fits the source: %s', (_, edits) => {
  expect(editSources([edits].flat()).size).toBeGreaterThan(0)
})

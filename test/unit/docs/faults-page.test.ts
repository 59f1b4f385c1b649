import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { faultsPagePath, renderFaultsPage } from '../../support/docs/faults-page.ts'
import { reliabilityPagePath, withScenarioTable } from '../../support/docs/scenario-table.ts'
import { FAULT_IDS } from '../../support/faults/catalogue.ts'
import { publishedResultsPath, readResults } from '../../support/faults/fault-results.ts'

test('docs/faults.md shows the catalogue and the published results (make faults)', async () => {
  expect(readFileSync(faultsPagePath, 'utf8')).toBe(await renderFaultsPage())
}, 30_000)

test('docs/reliability.md shows what the published scenarios measured (make faults)', async () => {
  const page = readFileSync(reliabilityPagePath, 'utf8')
  expect(page).toBe(await withScenarioTable(page))
}, 30_000)

test('no published result is a failure or names an unknown fault', () => {
  const results = Object.values(readResults(publishedResultsPath))
  expect(results.filter(({ passed }) => !passed)).toEqual([])
  expect(results.map(({ id }) => id).filter((id) => !(FAULT_IDS as readonly string[]).includes(id))).toEqual(
    [],
  )
})

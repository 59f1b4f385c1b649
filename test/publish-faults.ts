// Publishes what the last runs saw of each fault: from .cache into test/faults/results.json, docs/faults.md and the table of
// docs/reliability.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { faultsPagePath, renderFaultsPage } from './support/docs/faults-page.ts'
import { reliabilityPagePath, withScenarioTable } from './support/docs/scenario-table.ts'
import {
  addResults,
  localResultsPath,
  publishedResultsPath,
  readResults,
} from './support/faults/fault-results.ts'

addResults(publishedResultsPath, Object.values(readResults(localResultsPath)))
writeFileSync(faultsPagePath, await renderFaultsPage())
writeFileSync(reliabilityPagePath, await withScenarioTable(readFileSync(reliabilityPagePath, 'utf8')))
console.log('docs/faults.md and docs/reliability.md show these results')

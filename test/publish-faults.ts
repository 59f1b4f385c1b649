// Publishes what the last runs saw of each fault: from .cache into test/faults/results.json and docs/faults.md.
import { writeFileSync } from 'node:fs'
import { faultsPagePath, renderFaultsPage } from './support/docs/faults-page.ts'
import {
  addResults,
  localResultsPath,
  publishedResultsPath,
  readResults,
} from './support/faults/fault-results.ts'

addResults(publishedResultsPath, Object.values(readResults(localResultsPath)))
writeFileSync(faultsPagePath, await renderFaultsPage())
console.log('docs/faults.md shows these results')

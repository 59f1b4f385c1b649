import { readFileSync, writeFileSync } from 'node:fs'
import { dashboards } from '../deploy/grafana/dashboards.ts'
import { apiReportPath, renderApiReport } from './support/docs/api-report.ts'
import { configDocuments } from './support/docs/config-docs.ts'
import { faultsPagePath, renderFaultsPage } from './support/docs/faults-page.ts'
import { problemsPagePath, renderProblemsPage } from './support/docs/problems-page.ts'
import { reliabilityPagePath, withScenarioTable } from './support/docs/scenario-table.ts'

for (const { path, render } of configDocuments) writeFileSync(path, await render())
writeFileSync(problemsPagePath, await renderProblemsPage())
writeFileSync(apiReportPath, await renderApiReport())
writeFileSync(faultsPagePath, await renderFaultsPage())
writeFileSync(reliabilityPagePath, await withScenarioTable(readFileSync(reliabilityPagePath, 'utf8')))
for (const { path, render } of dashboards) writeFileSync(path, render())

import { writeFileSync } from 'node:fs'
import { configDocuments } from './support/docs/config-docs.ts'
import { problemsPagePath, renderProblemsPage } from './support/docs/problems-page.ts'

for (const { path, render } of configDocuments) writeFileSync(path, await render())
writeFileSync(problemsPagePath, await renderProblemsPage())

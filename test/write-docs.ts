import { writeFileSync } from 'node:fs'
import { problemsPagePath, renderProblemsPage } from './support/docs/problems-page.ts'
import { readmePath, renderReadme } from './support/docs/readme.ts'

writeFileSync(readmePath, await renderReadme())
writeFileSync(problemsPagePath, await renderProblemsPage())

import { writeFileSync } from 'node:fs'
import { readmePath, renderReadme } from './support/docs/readme.ts'

writeFileSync(readmePath, await renderReadme())

import { writeFileSync } from 'node:fs'
import { readmePath, renderReadme } from './readme.ts'

writeFileSync(readmePath, await renderReadme())

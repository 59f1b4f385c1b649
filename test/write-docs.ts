import { writeFileSync } from 'node:fs'
import { configDocuments } from './support/docs/config-docs.ts'

for (const { path, render } of configDocuments) writeFileSync(path, await render())
